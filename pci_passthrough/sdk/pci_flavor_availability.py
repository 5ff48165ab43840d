# SPDX-License-Identifier: Apache-2.0
"""How much of a PCI flavor is left."""

from typing import Any

from openstack import resource

from pci_passthrough.sdk import base


class Availability(base.Resource):
    """How many requests for a PCI flavor can be served now.

    Numbers and hosts are None unless the user may see them.
    """

    #: UUID of the PCI flavor.
    pci_flavor: str = resource.Body('pci_flavor', alternate_id=True)
    #: Name of the PCI flavor.
    name: str = resource.Body('name')
    #: Devices in one request.
    count: int = resource.Body('count', type=int)
    #: none, low or ok.
    availability: str = resource.Body('availability')
    free: int | None = resource.Body('free', type=int)
    total: int | None = resource.Body('total', type=int)
    #: How many requests the free devices can serve.
    requests: int | None = resource.Body('requests', type=int)
    hosts: list[dict[str, Any]] | None = resource.Body('hosts', type=list)
    #: What the devices are; since microversion 1.3.
    resources: list[dict[str, Any]] | None = resource.Body(
        'resources', type=list
    )
