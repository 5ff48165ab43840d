# SPDX-License-Identifier: Apache-2.0
"""Imports Nova; no other package of this project does.

There is one file for each part of Nova, so that a process imports only the
parts that it uses. Several modules of Nova read options when they are
imported, and must not be imported before the configuration files are read.

``install.symbols`` lists every name that is imported here, but for those of
``configuration`` and ``records``: only ``pci-passthrough-manage`` uses these
two, and no process of Nova must refuse to start because of them.
"""
