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

from openstack import exceptions as sdk_exceptions

from pci_passthrough.osc.v1 import servers

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
    if not holders:
        return items
    known: dict[str, Any] = servers.ask(
        manager, lambda compute: _servers(compute, holders), {}
    )
    for item in items:
        server = known.get(str(item['instance_uuid']))
        if server is not None:
            item[NAME], item[PROJECT] = server.name, server.project_id
    return items


def _servers(compute: Any, uuids: Collection[str]) -> dict[str, Any]:
    if len(uuids) > _FEW:
        return {s.id: s for s in compute.servers(all_projects=True)}
    found = {}
    for uuid in sorted(uuids):
        try:
            found[uuid] = compute.get_server(uuid)
        except sdk_exceptions.NotFoundException:
            LOG.info('Nova has no server %s', uuid)
    return found
