# SPDX-License-Identifier: Apache-2.0
"""Which PCI devices a compute host has, and which of them it may give away.

================== ====== ==================================================
module             kind   does
================== ====== ==================================================
``libvirt_host``   acts   lists node devices, tells when they change
``node_device``    pure   turns libvirt's XML into ``PciDevice`` objects
``rooted_files``   acts   reads files without ever leaving a root directory
``host_root``      acts   reads what only sysfs and procfs know
``host_use``       pure   decides which functions the host needs for itself
``scan``           pure*  joins all that with pci_information (*and one shell)
================== ====== ==================================================

Everything here only reads. Nothing is detached, bound, reset or configured.
"""
