# SPDX-License-Identifier: Apache-2.0
"""Finds a compute host's PCI devices and decides which ones to offer.

====================== ====== ==============================================
module                 kind   does
====================== ====== ==============================================
``libvirt_host``       acts   lists node devices, calls back when they change
``domain_use``         pure   finds the functions that running guests have
``open_nodes``         acts   finds VFIO nodes, and who has them open
``node_device``        pure   parses libvirt's XML into ``PciDevice`` objects
``net_interface``      pure   parses the network interfaces in it
``read_errors``        acts   collects errors, and which devices each affects
``block_reader``       acts   reads disks
``interface_reader``   acts   reads network interfaces
``netlink``            acts   reads addresses and routes
``serial_numbers``     acts   reads serial numbers
``undescribed``        pure   devices that libvirt cannot describe, from sysfs
``sysfs_reader``       acts   reads functions, and all of the above
``hidden_properties``  pure   remembers what guests hide of their devices
``host_facts``         pure   the data that ``sysfs_reader`` returns
``in_use``             pure   decides which functions the host itself uses
``storage_use``        pure   the part of ``in_use`` about disks
``network_use``        pure   the part of ``in_use`` about the network
``use``                pure   one use of functions
``deliverable``        pure   decides which functions no guest can have
``vital_product_data`` pure   finds the serial number in it
``uplink``             pure   decides which interface is the function's own
``refusing``           pure   decides which matched devices are refused
``resources``          both   asks the resource types for other devices
``scan``               both   ``classify`` decides, ``scan`` reads
``doubt``              both   decides whether one scan is enough
====================== ====== ==============================================

All modules only read. What changes a device is in ``handlers``.
"""
