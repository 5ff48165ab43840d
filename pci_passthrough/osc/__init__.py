# SPDX-License-Identifier: Apache-2.0
"""The clients: plugins for the ``openstack`` and the ``nova`` command.

Both call the REST API through ``pci_passthrough.sdk``. ``v1`` has the commands
of ``openstack``, a file for each noun; ``nova_shell`` has those of ``nova``.
Where an existing command creates a NIC, ``v1.server`` and ``nova_nics`` add
the PCI flavor to the request that goes to Nova. ``pci-passthrough-manage``
runs the commands of ``v1`` against the service in its own process.

Nothing here imports the server: a user's machine has neither a database nor
libvirt.
"""
