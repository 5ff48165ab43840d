# SPDX-License-Identifier: Apache-2.0
"""Tests in a complete cloud of real processes.

``make test-e2e`` runs these tests in a separate virtual environment with
Nova and the other services; ``make test`` does not run them. They need root
and a kernel with namespaces, overlay and FUSE.

One :class:`~pci_passthrough.tests.e2e.cloud.Cloud` serves all test classes
of a process. It consists of

* MariaDB and RabbitMQ (:mod:`~pci_passthrough.tests.functional.servers`),
* Keystone, Placement, Glance, Neutron and Nova's API, conductor and two
  schedulers, ``pci-passthrough-conductor`` and our REST service,
* two compute hosts, each a simulated machine
  (:mod:`~pci_passthrough.tests.lab`) with its own libvirtd, QEMU without
  KVM, nova-compute, ``neutron-sriov-nic-agent`` and
  ``pci-passthrough-agent``.

``test_install.py`` needs no cloud, but machines on which nothing of this
project is installed (:mod:`~pci_passthrough.tests.e2e.bare_root`), beside a
database, a broker and Keystone
(:mod:`~pci_passthrough.tests.e2e.existing_cloud`).

Small programs replace what a simulated machine does not have: VFIO
(``emulator.py``, ``hotplug.c``), the configuration of virtual functions
(``virtual_functions.c``, ``ip.sh``, ``nic_agent.py``, which exchange data by
:mod:`~pci_passthrough.tests.e2e.embedded_switch`), udev's device nodes
(``tap_nodes.c``) and permissions that a container lacks (``memlock.c``).

All servers listen on 127.0.0.1, or inside a host's namespace, and end with
the process.
"""
