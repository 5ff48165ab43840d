# SPDX-License-Identifier: Apache-2.0
"""``openstack pci …``: a file for each noun, and their common parts."""
