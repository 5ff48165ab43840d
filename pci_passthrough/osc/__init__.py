# SPDX-License-Identifier: Apache-2.0
"""The clients: plugins for the ``openstack`` and the ``nova`` command.

``client`` speaks REST, and both shells use it. ``v1`` has the commands of
``openstack``, a file for each noun; ``nova_shell`` has those of ``nova``.

Nothing here imports the server: on a user's machine there is neither a
database nor libvirt.
"""
