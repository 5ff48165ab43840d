# SPDX-License-Identifier: Apache-2.0
"""The devices that projects use."""

from typing import Any

from openstack import resource

from pci_passthrough.sdk import base


class Usage(base.Resource):
    """The devices of a PCI flavor that a project uses."""

    resources_key = 'usages'
    base_path = '/usages'
    allow_list = True
    query_names = ('project_id', 'pci_flavor', 'start', 'end')

    project_id: str = resource.Body('project_id')
    #: ``uuid`` and ``name``; both None if it is not known.
    pci_flavor: dict[str, Any] = resource.Body('pci_flavor', type=dict)
    #: How many devices the project holds.
    used: int = resource.Body('used', type=int)
    #: How many it may hold; None if there is no limit, or it is not known.
    resource_limit: int | None = resource.Body('limit', type=int)
    #: For how long devices were held, with ``start`` in the query.
    device_seconds: float | None = resource.Body('device_seconds', type=float)
