# SPDX-License-Identifier: Apache-2.0

"""Simulated compute hosts: a made-up kernel below the real libvirtd.

Each host lives in namespaces of its own: its ``/sys`` is a tmpfs filled from
:mod:`pci_passthrough.demo.inventory` whose control files (``sriov_numvfs``,
``bind``, ``remove`` …) answer as the kernel's PCI core does, and whose
changes are announced as udev does. Nothing of it touches a real device.
"""
