# SPDX-License-Identifier: Apache-2.0
"""Makes a request for each NIC that asks for a PCI flavor.

A NIC asks by ``pci_flavor`` in the request to Nova's API, see ``middleware``,
or by a tag of its Neutron port, ``pci-flavor=<name>``. Nova makes the requests
of NICs in ``create_resource_requests``: in nova-api for a new server, in
nova-compute for an interface that is attached.

The device must match the PCI flavor and be on the NIC's network, that is on
one of the physical networks of its segments. For a network without physical
networks, an overlay, the device must be on no physical network.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from oslo_utils import strutils
from oslo_utils import uuidutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import user_errors
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.nova_plugin.network import mixed_nics
from pci_passthrough.objects import fields
from pci_passthrough.specs import request as request_spec

_PHYSICAL_NETWORK = 'provider:physical_network'
_NORMAL = 'normal'

#: Requirements of a port for its device. Only administrators see it.
_PROFILE = 'binding:profile'

#: Resources that Placement must allocate for a port. Only administrators see
#: it.
_RESOURCES = 'resource_request'

_PORT_FIELDS = [
    'id',
    'tags',
    'tenant_id',
    'network_id',
    nova_network.VNIC_TYPE,
    _PROFILE,
    _RESOURCES,
]

#: Ports in one call of Neutron: a URL can have 8 KiB.
_PORTS_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Nic:
    """A NIC in a request to Nova's API.

    :ivar network_id: None for a NIC with a port.
    :ivar port_id: None if Nova is to make the port.
    :ivar pci_flavor: name or UUID of a PCI flavor in the request, if any.
    """

    network_id: str | None
    port_id: str | None
    pci_flavor: str | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """The device that a NIC needs.

    :ivar pci_flavor: name or UUID of the PCI flavor.
    :ivar nic: further requirements. The vNIC type is None until the PCI
        flavor's vNIC type is known.
    :ivar id: id of the request.
    """

    pci_flavor: str
    nic: objects.RequestedNic
    id: str = dataclasses.field(default_factory=uuidutils.generate_uuid)

    def to_pci_request(self) -> objects.PciRequest:
        """Convert the request to the conductor's form."""
        return objects.PciRequest(
            request_id=self.id,
            count=1,
            pci_flavors=[self.pci_flavor],
            numa_policy=None,
            nic=self.nic,
        )


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A NIC's request, and the PCI flavor that it names."""

    request: Request
    alternative: objects.PciAlternative


def wrap_create_resource_requests(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``nova.network.neutron.API.create_resource_requests``.

    nova-api calls it for a new server, nova-compute for an interface that is
    attached. The replacement adds the requests of NICs with PCI flavors. Only
    Neutron knows the tags of ports: it is asked once for all ports of the
    request, and not at all without ports.
    """

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
            with user_errors.refused_as(user_errors.RequestRefused):
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
    """Add requests for PCI flavors; they replace Nova's requests for ports.

    :param networks: Nova's ``NetworkRequest`` objects.
    :param pci_requests: Nova's ``InstancePCIRequests``.
    :param policy: the NUMA policy of the instance, for ports without one.
    """
    names = asked_nics.names_in(context)
    nics = [
        Nic(network.network_id, network.port_id, names.get(index))
        for index, network in enumerate(networks)
    ]
    resolved_nics = resolve(context, nics)
    for network, resolved in zip(networks, resolved_nics, strict=True):
        if resolved is None:
            continue
        by_id = {
            request.request_id: request for request in pci_requests.requests
        }
        native = by_id.get(network.pci_request_id)
        nic_request = requests.make_nic_request(
            resolved.alternative,
            resolved.request.nic,
            resolved.request.id,
            port_id=network.port_id,
            policy=(native.numa_policy if native else None) or policy,
        )
        pci_requests.requests = [
            request
            for request in pci_requests.requests
            if request is not native
        ] + [nic_request]
        network.pci_request_id = nic_request.request_id
    if any(resolved_nics):
        check_number(len(requests.for_pci_flavors(pci_requests.requests)))


def check_number(number: int) -> None:
    """Check that an instance has not too many requests for one claim.

    :param number: number of requests for PCI flavors, by flavor and NICs.
    :raises InvalidNic: there are too many.
    """
    if number > request_spec.MAX_REQUESTS:
        raise exception.InvalidNic(
            f'{number} requests for PCI flavors, by the flavor and by NICs; '
            f'an instance can have {request_spec.MAX_REQUESTS}'
        )


def resolve(
    context: Any, nics: Sequence[Nic], beside: Iterable[str] = ()
) -> list[Resolved | None]:
    """Look up the PCI flavors that NICs ask for, and check the NICs.

    :param context: Nova's request context.
    :param beside: vNIC types of the NICs that the instance has already; read
        only if they matter.
    :returns: one item for each NIC; None for a NIC without PCI flavor.
    :raises: PciFlavorNotFound, InvalidNic; Unavailable.
    """
    if not any(nic.port_id or nic.pci_flavor for nic in nics):
        return [None] * len(nics)
    neutron = nova_network.admin_client(context)
    port_ids = [nic.port_id for nic in nics if nic.port_id]
    ports = _ports(neutron, port_ids, requests.project_of(context))
    wanted: dict[int, Request] = {}
    for index, nic in enumerate(nics):
        request = _request(neutron, nic, ports.get(nic.port_id or '', {}))
        if request is not None:
            wanted[index] = request
    resolved = _resolve_requests(context, wanted)
    for index, answer in resolved.items():
        _check_trusted(ports.get(nics[index].port_id or '', {}), answer)
    mixed_nics.check(
        [
            *(
                str(port.get(nova_network.VNIC_TYPE))
                for port in ports.values()
            ),
            *(str(nic.alternative.vnic_type) for nic in resolved.values()),
        ],
        beside,
    )
    return [resolved.get(index) for index in range(len(nics))]


def _ports(
    neutron: Any, port_ids: Sequence[str], project: str | None
) -> dict[str, Mapping[str, Any]]:
    """Return ports by id.

    :param project: return only the ports of this project, because error
        texts describe the port; Nova refuses other projects' ports. None
        means any project.
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
    name = _tagged_pci_flavor(port) if nic.port_id else nic.pci_flavor
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


def _tagged_pci_flavor(port: Mapping[str, Any]) -> str | None:
    """Return the PCI flavor that a tag of a port names, if any.

    :raises InvalidNic: the port has several such tags.
    """
    tags = [
        tag
        for tag in sorted(port.get('tags') or ())
        if tag.startswith(asked_nics.TAG)
    ]
    if len(tags) > 1:
        raise exception.InvalidNic(
            f'port {port["id"]} has the tags {" and ".join(tags)}; a port '
            'can have only one device'
        )
    return tags[0].removeprefix(asked_nics.TAG) if tags else None


def _vnic_type_of(port: Mapping[str, Any], name: str) -> str:
    """Return the vNIC type of a tagged port.

    :raises InvalidNic: a port of this vNIC type needs no device.
    """
    vnic_type = str(port.get(nova_network.VNIC_TYPE) or _NORMAL)
    if vnic_type not in fields.VnicType.ALL:
        raise exception.InvalidNic(
            f'port {port["id"]} has the tag {asked_nics.TAG}{name} and is of '
            f'vnic_type {vnic_type}; it must be of vnic_type '
            f'{" or ".join(fields.VnicType.ALL)}'
        )
    return vnic_type


def _check_bandwidth(port: Mapping[str, Any], name: str) -> None:
    """Check that Placement does not choose the device of a port.

    :raises InvalidNic: the port has a guaranteed bandwidth or packet rate.
    """
    wanted = port.get(_RESOURCES) or {}
    if wanted.get('resources') or wanted.get('request_groups'):
        raise exception.InvalidNic(
            f'port {port["id"]} has the tag {asked_nics.TAG}{name} and a '
            'guaranteed minimum bandwidth or packet rate, by its QoS policy; '
            'it can have only one of them'
        )


def _check_trusted(port: Mapping[str, Any], resolved: Resolved) -> None:
    """Check that a trusted port gets a device that is marked as trusted.

    Nova turns the trusted mode of a virtual function on, whatever is known of
    the device. So the PCI flavor must match marked devices only.

    :raises InvalidNic: the PCI flavor could give it another device.
    """
    wants_trust = (port.get(_PROFILE) or {}).get('trusted')
    if not strutils.bool_from_string(wants_trust):
        return
    if not resolved.alternative.get('trusted'):
        raise exception.InvalidNic(
            f'port {port["id"]} has trusted=true in its binding profile, and '
            f'PCI flavor {resolved.alternative.name} also gives devices that '
            'are not marked as trusted; it needs a PCI flavor that matches '
            'e.trusted=true'
        )


def _physical_networks(neutron: Any, network_id: Any) -> list[str]:
    """Return the physical networks of a network; none for an overlay."""
    network = neutron.show_network(
        network_id, fields=['segments', _PHYSICAL_NETWORK]
    )['network']
    # Neutron lists segments only if there are several.
    segments = network.get('segments') or [network]
    names = {segment.get(_PHYSICAL_NETWORK) for segment in segments}
    return sorted(name for name in names if name)


def _resolve_requests(
    context: Any, wanted: Mapping[int, Request]
) -> dict[int, Resolved]:
    if not wanted:
        return {}
    try:
        answers = client.conductor().resolve(
            [request.to_pci_request() for request in wanted.values()],
            requests.project_of(context),
        )
    except exception.InvalidRequest as error:
        # Without the example in the text, which is one of extra specs.
        raise exception.InvalidNic(error.reason) from error
    resolved = {}
    for (index, request), answer in zip(wanted.items(), answers, strict=True):
        (alternative,) = answer.alternatives
        nic = request.nic.replace(vnic_type=alternative.vnic_type)
        resolved[index] = Resolved(
            dataclasses.replace(request, nic=nic), alternative
        )
    return resolved
