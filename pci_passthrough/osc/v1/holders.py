# SPDX-License-Identifier: Apache-2.0
"""Names and projects of the servers that hold devices, looked up in Nova.

The service knows servers by UUID only: a name that it stored would be wrong
after the next ``openstack server set --name``.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import logging
from typing import Any

LOG = logging.getLogger(__name__)

#: Up to so many servers are asked for one by one; for more, Nova lists all.
_FEW = 20

#: The fields that ``with_servers`` adds.
NAME, PROJECT = 'server_name', 'server_project_id'


def with_servers(
    manager: Any, devices: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return devices with name and project of the server that holds them.

    Both are missing for a server that Nova does not have or does not show to
    the user, and for all if Nova cannot be asked.

    :param manager: the ``client_manager`` of a command.
    """
    items = [dict(device) for device in devices]
    holders = {str(i['instance_uuid']) for i in items if i['instance_uuid']}
    servers = _servers(manager, holders) if holders else {}
    for item in items:
        server = servers.get(str(item['instance_uuid']))
        if server is not None:
            item[NAME], item[PROJECT] = server.name, server.project_id
    return items


def _servers(manager: Any, uuids: Collection[str]) -> dict[str, Any]:
    # Commands without a holder save a second: both import the SDK.
    from keystoneauth1 import exceptions as ksa_exceptions
    from openstack import exceptions as sdk_exceptions

    servers = {}
    try:
        compute = manager.sdk_connection.compute
        # Without a version of Nova's API that it knows, the SDK has no calls.
        if not hasattr(compute, 'get_server'):
            LOG.info('Showing no names of servers: there is no Nova')
            return {}
        if len(uuids) > _FEW:
            return {s.id: s for s in compute.servers(all_projects=True)}
        for uuid in sorted(uuids):
            try:
                servers[uuid] = compute.get_server(uuid)
            except sdk_exceptions.NotFoundException:
                LOG.info('Nova has no server %s', uuid)
    except (
        sdk_exceptions.SDKException,
        ksa_exceptions.ClientException,
    ) as error:
        LOG.info('Showing no names of servers: %s', error)
    return servers
