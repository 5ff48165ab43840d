# SPDX-License-Identifier: Apache-2.0
"""PCI flavors on NICs: one request for each NIC that asks for one.

A NIC asks by ``pci_flavor`` in the request to Nova's API, see ``middleware``,
or by a tag of its Neutron port, ``pci-flavor=<name>``. Nova makes the requests
of NICs in ``create_resource_requests``: in nova-api for a new server, in
nova-compute for an interface that is attached.

The device has to match the PCI flavor and to be on the NIC's network, that
is on one of the physical networks of its segments. A network without any, an
overlay, is served by devices that are on no physical network.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from oslo_utils import uuidutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.nova_plugin.network import mixed_nics
from pci_passthrough.objects import fields
from pci_passthrough.specs import request as request_spec

_PHYSICAL_NETWORK = 'provider:physical_network'
_NORMAL = 'normal'

#: What Placement has to have for a port. Only administrators see it.
_RESOURCES = 'resource_request'

_PORT_FIELDS = [
    'id',
    'tags',
    'tenant_id',
    'network_id',
    nova_network.VNIC_TYPE,
    _RESOURCES,
]

#: Ports in one question, for an address has no more than 8 KiB.
_PORTS_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Nic:
    """A NIC as it is asked for.

    :ivar network_id: None if it comes with a port.
    :ivar port_id: None if Nova is to make the port.
    :ivar pci_flavor: what the request to Nova's API names, if anything.
    """

    network_id: str | None
    port_id: str | None
    pci_flavor: str | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """What a NIC's device has to be.

    :ivar pci_flavor: its name or UUID.
    :ivar nic: what else; the vNIC type is None as long as the PCI flavor's
        is not known.
    :ivar id: of the request.
    """

    pci_flavor: str
    nic: objects.RequestedNic
    id: str = dataclasses.field(default_factory=uuidutils.generate_uuid)

    def to_pci_request(self) -> objects.PciRequest:
        """Return it as the conductor knows it."""
        return objects.PciRequest(
            request_id=self.id,
            count=1,
            pci_flavors=[self.pci_flavor],
            numa_policy=None,
            nic=self.nic,
        )


@dataclasses.dataclass(frozen=True)
class Settled:
    """A NIC's request, and the PCI flavor that serves it."""

    request: Request
    alternative: objects.PciAlternative


def wrap_create_resource_requests(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Have NICs that ask for PCI flavors served by these."""

    @functools.wraps(original)
    def create_resource_requests(
        api: Any,
        context: Any,
        requested_networks: Any,
        pci_requests: Any = None,
        affinity_policy: str | None = None,
    ) -> Any:
        result = original(
            api,
            context,
            requested_networks,
            pci_requests,
            affinity_policy=affinity_policy,
        )
        if requested_networks and not requested_networks.no_allocate:
            with requests.refused_as(requests.RequestRefused):
                _add_requests(
                    context,
                    list(requested_networks),
                    pci_requests,
                    affinity_policy,
                )
        return result

    return create_resource_requests


def _add_requests(
    context: Any,
    networks: Sequence[Any],
    pci_requests: Any,
    policy: str | None,
) -> None:
    """Make requests of ours, in the place of Nova's own for ports.

    :param networks: Nova's ``NetworkRequest`` objects.
    :param pci_requests: Nova's ``InstancePCIRequests``.
    :param policy: the instance's NUMA policy; a port's own wins.
    """
    names = asked_nics.names_in(context)
    nics = [
        Nic(network.network_id, network.port_id, names.get(place))
        for place, network in enumerate(networks)
    ]
    found = settle(context, nics)
    for network, settled in zip(networks, found, strict=True):
        if settled is None:
            continue
        natives = {r.request_id: r for r in pci_requests.requests}
        native = natives.get(network.pci_request_id)
        made = requests.for_nic(
            settled.alternative,
            settled.request.nic,
            settled.request.id,
            port_id=network.port_id,
            policy=(native.numa_policy if native else None) or policy,
        )
        pci_requests.requests = [
            one for one in pci_requests.requests if one is not native
        ] + [made]
        network.pci_request_id = made.request_id
    if any(found):
        check_number(len(requests.ours(pci_requests.requests)))


def check_number(number: int) -> None:
    """Refuse more requests than the devices of an instance are claimed by.

    :param number: of requests of ours, the flavor's among them.
    :raises InvalidNic: they are too many.
    """
    if number > request_spec.MAX_REQUESTS:
        raise exception.InvalidNic(
            f'{number} requests for PCI flavors, by the flavor and by NICs; '
            f'an instance can have {request_spec.MAX_REQUESTS}'
        )


def settle(
    context: Any, nics: Sequence[Nic], beside: Iterable[str] = ()
) -> list[Settled | None]:
    """Find out what the NICs of a request ask for, and whether they may.

    :param context: Nova's request context.
    :param beside: vNIC types of the NICs that the instance has already.
    :returns: for each NIC; None for one that asks for no PCI flavor.
    :raises: PciFlavorNotFound, InvalidNic; Unavailable.
    """
    if not any(nic.port_id or nic.pci_flavor for nic in nics):
        return [None] * len(nics)
    neutron = nova_network.admin_client(context)
    port_ids = [nic.port_id for nic in nics if nic.port_id]
    ports = _ports(neutron, port_ids, requests.project_of(context))
    wanted: dict[int, Request] = {}
    for place, nic in enumerate(nics):
        request = _request(neutron, nic, ports.get(nic.port_id or '', {}))
        if request is not None:
            wanted[place] = request
    settled = _settled(context, wanted)
    mixed_nics.check(
        [
            *(
                str(port.get(nova_network.VNIC_TYPE))
                for port in ports.values()
            ),
            *(str(one.alternative.vnic_type) for one in settled.values()),
        ],
        beside,
    )
    return [settled.get(place) for place in range(len(nics))]


def _ports(
    neutron: Any, port_ids: Sequence[str], project: str | None
) -> dict[str, Mapping[str, Any]]:
    """Return ports by id.

    :param project: only its own, for what is wrong with a port is told. Nova
        refuses all others. None: whose they are does not matter.
    """
    return {
        port['id']: port
        for begin in range(0, len(port_ids), _PORTS_AT_ONCE)
        for port in neutron.list_ports(
            id=list(port_ids[begin : begin + _PORTS_AT_ONCE]),
            fields=_PORT_FIELDS,
        )['ports']
        if project in (None, port['tenant_id'])
    }


def _request(
    neutron: Any, nic: Nic, port: Mapping[str, Any]
) -> Request | None:
    """Return a NIC's request; None if it asks for no PCI flavor."""
    name = _tagged(port) if nic.port_id else nic.pci_flavor
    if name is None:
        return None
    vnic_type = _vnic_type_of(port, name) if nic.port_id else None
    _check_bandwidth(port, name)
    network_id = port['network_id'] if nic.port_id else nic.network_id
    return Request(
        name,
        objects.RequestedNic(
            vnic_type=vnic_type,
            physical_networks=_physical_networks(neutron, network_id),
        ),
    )


def _tagged(port: Mapping[str, Any]) -> str | None:
    """Return the PCI flavor that a port's tag names.

    :raises InvalidNic: there are several.
    """
    tags = [
        tag
        for tag in sorted(port.get('tags') or ())
        if tag.startswith(asked_nics.TAG)
    ]
    if len(tags) > 1:
        raise exception.InvalidNic(
            f'port {port["id"]} has the tags {" and ".join(tags)}; it can '
            'have one device only'
        )
    return tags[0].removeprefix(asked_nics.TAG) if tags else None


def _vnic_type_of(port: Mapping[str, Any], name: str) -> str:
    """Return the vNIC type of a tagged port.

    :raises InvalidNic: it is of one that needs no device.
    """
    vnic_type = str(port.get(nova_network.VNIC_TYPE) or _NORMAL)
    if vnic_type not in fields.VnicType.ALL:
        raise exception.InvalidNic(
            f'port {port["id"]} has the tag {asked_nics.TAG}{name} and is of '
            f'vnic_type {vnic_type}; right would be one of '
            f'{", ".join(fields.VnicType.ALL)}'
        )
    return vnic_type


def _check_bandwidth(port: Mapping[str, Any], name: str) -> None:
    """Refuse a port of which Placement chooses the physical function.

    :raises InvalidNic: it has a guaranteed bandwidth or packet rate.
    """
    wanted = port.get(_RESOURCES) or {}
    if wanted.get('resources') or wanted.get('request_groups'):
        raise exception.InvalidNic(
            f'port {port["id"]} has the tag {asked_nics.TAG}{name} and a '
            'guaranteed minimum bandwidth or packet rate, by its QoS policy; '
            'it can have only one of them'
        )


def _physical_networks(neutron: Any, network_id: Any) -> list[str]:
    """Return those of a network's segments; none for an overlay."""
    network = neutron.show_network(
        network_id, fields=['segments', _PHYSICAL_NETWORK]
    )['network']
    # Neutron lists segments only if there are several.
    segments = network.get('segments') or [network]
    found = {segment.get(_PHYSICAL_NETWORK) for segment in segments}
    return sorted(name for name in found if name)


def _settled(
    context: Any, wanted: Mapping[int, Request]
) -> dict[int, Settled]:
    if not wanted:
        return {}
    try:
        answers = client.conductor().resolve(
            [request.to_pci_request() for request in wanted.values()],
            requests.project_of(context),
        )
    except exception.InvalidRequest as error:
        # Without the example, which is one for extra specs.
        raise exception.InvalidNic(error.reason) from error
    found = {}
    for (place, request), answer in zip(wanted.items(), answers, strict=True):
        (alternative,) = answer.alternatives
        nic = request.nic.replace(vnic_type=alternative.vnic_type)
        found[place] = Settled(
            dataclasses.replace(request, nic=nic), alternative
        )
    return found
