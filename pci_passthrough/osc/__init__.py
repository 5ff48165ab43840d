# SPDX-License-Identifier: Apache-2.0
"""The clients: plugins for the ``openstack`` and the ``nova`` command.

``client`` speaks REST, and both shells use it. ``v1`` has the commands of
``openstack``, a file for each noun; ``nova_shell`` has those of ``nova``.
Where a command of theirs makes a NIC, ``v1.server`` and ``nova_nics`` add the
PCI flavor to what is sent to Nova.

Nothing here imports the server: on a user's machine there is neither a
database nor libvirt.
"""
