# SPDX-License-Identifier: Apache-2.0
"""The names of Nova that this project uses, and the only place to get them.

One file for each part of Nova, so that no process imports what it has no use
for: several modules of Nova read options when they are imported, and must
not be imported before the configuration files were.

Every name here is in ``nova_plugin.symbols`` as well, which says what is
relied on.
"""
