# SPDX-License-Identifier: Apache-2.0
"""Requests for PCI flavors in Nova's form, ``InstancePCIRequest`` objects.

A request has one spec for each alternative, in order of preference::

    {'pci_flavor': <UUID>, 'pci_flavor_name': <name>}

No pool of Nova has such a key, so a process without the Nova plugin finds no
device for the request. ``alias_name`` is the extra spec's part for this
request. It is None in the request of a NIC; its only spec also has the
requirements of the NIC::

    {'pci_flavor_vnic_type': 'direct',
     'pci_flavor_physical_networks': '["physnet1"]'}

All other ``InstancePCIRequest`` objects are native: Nova made them from a
``[pci] alias`` or for an SR-IOV port.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin.compat import pools
from pci_passthrough.specs import request as request_spec

#: Key of a spec: the UUID of a PCI flavor. No native request has it.
_UUID = 'pci_flavor'

#: Key of a spec: the PCI flavor's name, for people who read Nova's database.
_NAME = 'pci_flavor_name'

#: Keys of a NIC's spec: its vNIC type, and the physical networks of its
#: network as JSON.
_VNIC_TYPE = 'pci_flavor_vnic_type'
_PHYSICAL_NETWORKS = 'pci_flavor_physical_networks'

#: Key of a spec, as in ``[pci] alias``: Nova migrates running instances only
#: with it.
_LIVE_MIGRATABLE = 'live_migratable'

#: An image property of Nova. Nova does not read it for resizes and moves.
_POLICY_IMAGE_PROPERTY = 'hw_pci_numa_affinity_policy'


def is_for_pci_flavor(request: Any) -> bool:
    """Whether an ``InstancePCIRequest`` asks for PCI flavors."""
    specs = loaded.attribute(request, 'spec')
    return isinstance(specs, list) and bool(specs) and _UUID in specs[0]


def for_pci_flavors(requests: Iterable[Any] | None) -> list[Any]:
    """Return the ``InstancePCIRequest`` objects that are for PCI flavors."""
    return [
        request for request in requests or () if is_for_pci_flavor(request)
    ]


def native(requests: Iterable[Any] | None) -> list[Any]:
    """Return the ``InstancePCIRequest`` objects that are native."""
    return [
        request for request in requests or () if not is_for_pci_flavor(request)
    ]


def nic_of(request: Any) -> objects.RequestedNic | None:
    """Return the requirements of the NIC that a request is for.

    :param request: a request for PCI flavors.
    :returns: None for a flavor's request.
    """
    spec = request.spec[0]
    if _VNIC_TYPE not in spec:
        return None
    return objects.RequestedNic(
        vnic_type=spec[_VNIC_TYPE],
        physical_networks=jsonutils.loads(spec[_PHYSICAL_NETWORKS]),
    )


def is_for_nic(request: Any) -> bool:
    """Whether an ``InstancePCIRequest`` asks for a PCI flavor for a NIC."""
    return is_for_pci_flavor(request) and nic_of(request) is not None


def of_flavor(requests: Iterable[Any] | None) -> list[Any]:
    """Return the requests for PCI flavors that are no NIC's."""
    return [
        request
        for request in for_pci_flavors(requests)
        if nic_of(request) is None
    ]


def asks_for_pci_flavors(flavor: Any) -> bool:
    """Whether the extra specs of a flavor ask for PCI flavors."""
    return any(map(_is_for_pci_flavors, extra_specs(flavor)))


def without_pci_flavors(flavor: Any) -> Any:
    """Return a flavor that asks for no PCI flavors, and else the same."""
    if not asks_for_pci_flavors(flavor):
        return flavor
    copy = flavor.obj_clone()
    copy.extra_specs = {
        key: text
        for key, text in extra_specs(flavor).items()
        if not _is_for_pci_flavors(key)
    }
    return copy


def _is_for_pci_flavors(key: str) -> bool:
    return key == request_spec.EXTRA_SPEC or key.startswith(
        request_spec.EXTRA_SPEC_PREFIX
    )


def summary(requests: Iterable[Any]) -> list[tuple[str, int]]:
    """Return the names and counts of a flavor's requests, sorted."""
    return sorted((request.alias_name, request.count) for request in requests)


def summary_of_flavor(flavor: Any) -> list[tuple[str, int]]:
    """Return the ``summary`` of the requests that a flavor asks for.

    :raises InvalidRequest: its extra specs are malformed.
    """
    asked = request_spec.from_extra_specs(extra_specs(flavor))
    return sorted((_alias(request), request.count) for request in asked)


def ask_for_pci_flavors(
    with_requests: Iterable[Any], with_flavor: Iterable[Any]
) -> bool:
    """Whether any of Nova's objects asks for PCI flavors, as far as loaded.

    :param with_requests: objects with ``pci_requests``.
    :param with_flavor: objects with a ``flavor``.
    """
    return any(
        asks_for_pci_flavors(loaded.attribute(obj, 'flavor'))
        for obj in with_flavor
    ) or any(
        for_pci_flavors(held.requests)
        for obj in with_requests
        if (held := loaded.attribute(obj, 'pci_requests'))
    )


def extra_specs(flavor: Any) -> Mapping[str, str]:
    """Return the extra specs of a Nova flavor; it may be None."""
    if not flavor or 'extra_specs' not in flavor:
        return {}
    specs: Mapping[str, str] | None = flavor['extra_specs']
    return specs or {}


def lack_pci_flavors(flavor: Any, pci_requests: Any) -> bool:
    """Whether requests lack the PCI flavors that the flavor asks for.

    Then a process without the Nova plugin made them, usually a nova-api, and
    the instance would start without its devices.

    :param pci_requests: an ``InstancePCIRequests``, or None.
    """
    requests = pci_requests.requests if pci_requests else None
    return asks_for_pci_flavors(flavor) and not of_flavor(requests)


def to_pci_request(
    request: Any, policy: str | None = None
) -> objects.PciRequest:
    """Convert a request for PCI flavors to the conductor's form.

    :param policy: the NUMA policy of a request that has none.
    """
    return objects.PciRequest(
        request_id=request.request_id,
        count=request.count,
        pci_flavors=[spec[_UUID] for spec in request.spec],
        numa_policy=request.numa_policy or policy,
        nic=nic_of(request),
    )


def describe(requests: Iterable[Any]) -> str:
    """Return requests for PCI flavors as text for operators.

    The text is in the form of the extra spec.
    """
    return ','.join(map(_describe, requests))


def _describe(request: Any) -> str:
    nic = nic_of(request)
    if nic is None:
        return f'{request.alias_name}:{request.count}'
    networks = ', '.join(nic.physical_networks) or 'no physical network'
    return f'{request.spec[0][_NAME]} ({nic.vnic_type} NIC on {networks})'


def policy_of_image(image: Any) -> str | None:
    """Return the NUMA policy that an image asks for.

    :param image: Nova's ``ImageMeta``; may be empty.
    """
    properties = getattr(image, 'properties', None)
    if properties is None:
        return None
    policy: str | None = properties.get(_POLICY_IMAGE_PROPERTY)
    return policy


def project_of(context: Any) -> str | None:
    """Return the project that a request to Nova's API comes from.

    :param context: Nova's request context; None if there is none.
    :returns: None for an administrator, who may use all PCI flavors.
    """
    if context is None or context.is_admin:
        return None
    project: str | None = context.project_id
    return project


def make_flavor_request(
    request: objects.PciRequest,
    alternatives: list[objects.PciAlternative],
    policy: str | None,
) -> Any:
    """Make Nova's request for one request of a flavor's extra specs.

    :param request: the request, in the conductor's form.
    :param alternatives: the PCI flavors that the request names.
    :param policy: the NUMA policy; None means the PCI flavor's.
    """
    return pools.InstancePCIRequest(
        count=request.count,
        spec=_specs(alternatives),
        alias_name=_alias(request),
        numa_policy=policy,
        request_id=request.request_id,
    )


def _alias(request: objects.PciRequest) -> str:
    return '|'.join(request.pci_flavors)


def make_nic_request(
    alternative: objects.PciAlternative,
    nic: objects.RequestedNic,
    request_id: str,
    port_id: str | None,
    policy: str | None,
) -> Any:
    """Make Nova's request for a NIC.

    :param alternative: the PCI flavor.
    :param nic: the requirements of the NIC.
    :param port_id: the user's port; None if Nova makes the port.
    :param policy: the NUMA policy; None means the PCI flavor's.
    """
    (spec,) = _specs([alternative])
    return pools.InstancePCIRequest(
        count=1,
        spec=[
            {
                **spec,
                _VNIC_TYPE: nic.vnic_type,
                _PHYSICAL_NETWORKS: jsonutils.dumps(nic.physical_networks),
            }
        ],
        # Nova takes a request without alias for one of a NIC.
        alias_name=None,
        numa_policy=policy,
        request_id=request_id,
        requester_id=port_id,
    )


def _specs(alternatives: list[objects.PciAlternative]) -> list[dict[str, str]]:
    migratable = all(
        alternative.live_migratable for alternative in alternatives
    )
    extra = {_LIVE_MIGRATABLE: 'true'} if migratable else {}
    return [
        {_UUID: alternative.uuid, _NAME: alternative.name, **extra}
        for alternative in alternatives
    ]
