# SPDX-License-Identifier: Apache-2.0
"""Converts the requests of NICs to native ones, and back.

Nova asks for the device of an SR-IOV port by the physical network of the port,
and by the type of device that its vNIC type needs. The request of before is
kept as a second spec. Nova takes a device that matches any of the specs, and
no pool of Nova matches this one, so the way back needs nothing else.
"""

from typing import Any

from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pools
from pci_passthrough.nova_plugin.compat import records
from pci_passthrough.nova_plugin.leaving import extra_specs


def to_native(request: Any, nic: objects.RequestedNic) -> Any:
    """Return the request that Nova would make for the port of a NIC.

    :param request: the request of the NIC for a PCI flavor.
    :param nic: the requirements of the NIC.
    :raises Obstacle: Nova has no request for such a port.
    """
    port = request.requester_id
    if port is None or len(nic.physical_networks) != 1:
        raise extra_specs.Obstacle(
            'has a NIC by a PCI flavor, and Nova asks for one physical '
            f'network: {requests.describe([request])}, port '
            f'{port or "unknown"}',
            f'openstack server remove port SERVER {port or "PORT"}; '
            'attach a port of a network with one physical network instead',
        )
    spec = records.port_spec(nic.vnic_type, nic.physical_networks[0])
    return _replaced(request, [spec, *request.spec])


def is_left(request: Any) -> bool:
    """Whether a request is one that ``to_native`` has made."""
    return (
        request.alias_name is None
        and len(request.spec) > 1
        and requests.is_for_pci_flavor(to_ours(request))
    )


def to_ours(request: Any) -> Any:
    """Return the request of before."""
    return _replaced(request, request.spec[1:])


def _replaced(request: Any, specs: list[dict[str, Any]]) -> Any:
    return pools.InstancePCIRequest(
        count=request.count,
        spec=[dict(spec) for spec in specs],
        alias_name=None,
        numa_policy=request.numa_policy,
        request_id=request.request_id,
        requester_id=request.requester_id,
    )
