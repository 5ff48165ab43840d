# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-manage``: schema, PCI flavors, devices, for operators.

One file a noun; ``app`` holds them together. It works on the database
itself, so it needs the conductor's configuration, and no conductor.
"""

from pci_passthrough.cmd.manage.app import main

__all__ = ['main']
