# SPDX-License-Identifier: Apache-2.0

"""Simulated compute hosts: the real libvirtd on a simulated kernel.

Each host has its own namespaces. Its ``/sys`` is a tmpfs with the devices of
:mod:`pci_passthrough.demo.inventory`. The control files (``sriov_numvfs``,
``bind``, ``remove`` …) behave as those of the kernel's PCI core, and changes
are announced with udev's events. No real device is touched.
"""
