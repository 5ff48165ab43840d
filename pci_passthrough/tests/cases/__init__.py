# SPDX-License-Identifier: Apache-2.0
"""Hosts with one peculiarity each, as people report them in public.

Each ``.xml`` file is a ``<node>`` for libvirt's test driver:

* ``c02_vmd.xml``: an NVMe disk in PCI domain 10000, behind Intel VMD;
* ``c04_iommu_groups.xml``: a GPU with its sound function on snd_hda_intel, a
  GPU in the IOMMU group of the host's NIC, two ports of a NIC in one group;
* ``c10_before.xml``, ``c10_after.xml``: a card was added, buses shift by one;
* ``c11_vfs8.xml``: a vGPU card's virtual functions have its product id;
* ``c13_mdev_in_use.xml``: a GPU with a mediated device, the VGA of a BMC.
"""
