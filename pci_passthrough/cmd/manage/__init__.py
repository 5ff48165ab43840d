# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-manage``: administration on a controller.

There is a file for each noun; ``app`` has the table of commands. Most
commands for PCI flavors, devices, pools and hosts are those of ``openstack
pci`` and call the REST API, which ``in_process`` provides without a port. All
others use the store. So the program needs the conductor's configuration and
the database, but no running service.
"""

from pci_passthrough.cmd.manage.app import main

__all__ = ['main']
