# SPDX-License-Identifier: Apache-2.0
"""A whole cloud of real processes, with this project in it.

``make test-e2e`` runs these tests, in an environment of their own that has
Nova and its fellow services; ``make test`` leaves them out. Root and a
kernel with namespaces, overlay and FUSE are needed.

One :class:`~pci_passthrough.tests.e2e.cloud.Cloud` serves all test classes
of a process. It consists of

* MariaDB and RabbitMQ (:mod:`~pci_passthrough.tests.functional.servers`),
* Keystone, Placement, Glance, Neutron and Nova's API, conductor and two
  schedulers, ``pci-passthrough-conductor`` and our REST service,
* two compute hosts, each a simulated machine
  (:mod:`~pci_passthrough.tests.lab`) with its own libvirtd, QEMU without
  KVM, nova-compute, ``neutron-sriov-nic-agent`` and
  ``pci-passthrough-agent``.

What a simulated machine cannot do, small programs here do in its place: VFIO
(``emulator.py``, ``hotplug.c``), setting up virtual functions
(``virtual_functions.c``, ``ip.sh``, ``nic_agent.py``, and
:mod:`~pci_passthrough.tests.e2e.embedded_switch` between them), udev's device
nodes (``tap_nodes.c``) and rights that a container lacks (``memlock.c``).

Everything listens on 127.0.0.1, or inside a host's own namespace, and ends
with the process.
"""
