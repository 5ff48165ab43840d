# SPDX-License-Identifier: Apache-2.0
"""Why devices of a PCI flavor cannot be had."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_availability
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.objects import fields
from pci_passthrough.store.views import explain

_C = fields.RefusalCondition

#: A PCI flavor's own condition: it takes no new requests from anybody.
_DISABLED = fields.PciFlavorState.DISABLED

#: What a project is told of a condition: nothing about hosts, no numbers.
_IN_WORDS = {
    _DISABLED: 'The PCI flavor is disabled and takes no new requests.',
    _C.NO_MATCH: 'The cloud has no such device.',
    _C.ALL_HELD: 'No device is free.',
    _C.TOO_FEW: 'Some devices are free, but too few together.',
    _C.NUMA: 'Devices are free, but not near enough to each other.',
    _C.HOST_DOWN: 'Hosts that may have such devices are out of order.',
}

#: Conditions that look alike from outside.
_SAME = {
    _C.NONE_FREE: _C.ALL_HELD,
    _C.SHARED: _C.TOO_FEW,
    _C.HOST_UNKNOWN: _C.HOST_DOWN,
    _C.TRACKER_DOWN: _C.HOST_DOWN,
}


def show(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Answer host by host, or, to a project, without hosts."""
    flavor = pci_flavor_view.visible(request, pci_flavor)
    sees_hosts = request.may(policy.EXPLAIN_HOSTS, flavor.project_id)
    if not sees_hosts:
        pci_flavor_availability.must_be_coarse(
            request.query['count'], policy.EXPLAIN_HOSTS
        )
    if request.given('host', 'physical_network'):
        request.authorize(policy.EXPLAIN_HOSTS, flavor.project_id)
    found = explain.explain(
        request.backends.database,
        request.backends.catalog,
        request.backends.limits,
        flavor,
        request.query['count'],
        request.query.get('host'),
        near_misses=sees_hosts,
        nic=_nic(request, flavor),
    )
    body: dict[str, Any] = {
        'pci_flavor': flavor.uuid,
        'name': flavor.name,
        'count': found.count,
    }
    if sees_hosts:
        return responses.of(body | _for_operators(request, found))
    return responses.of(body | _for_projects(found))


def _nic(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> objects.RequestedNic | None:
    """Return the NIC that is asked for, if it is for one."""
    networks = request.query.get('physical_network')
    if networks is None:
        return None
    return objects.RequestedNic(
        vnic_type=flavor.vnic_type or fields.VnicType.DIRECT,
        # Segments on none do not count where others are on one.
        physical_networks=[name for name in networks if name],
    )


def _for_operators(
    request: request_mod.ApiRequest, found: claims.Explanation
) -> dict[str, Any]:
    hosts, last = responses.after_marker(
        found.hosts, lambda one: (one.host,), request
    )
    disabled = _disabled(found)
    return {
        'serving': 0 if disabled else found.serving,
        'summary': ' '.join(
            [*(reason.text for reason in disabled), found.summary]
        ).strip(),
        'reasons': [
            {
                'condition': reason.condition,
                'text': reason.text,
                'hosts': reason.hosts,
            }
            for reason in (*disabled, *found.reasons)
        ],
        'hosts': [_host(one) for one in hosts],
        **responses.links(request, last),
    }


def _disabled(found: claims.Explanation) -> list[claims.Reason]:
    """Return that a PCI flavor is disabled, if it is."""
    if found.pci_flavor.state != _DISABLED:
        return []
    return [claims.Reason(_DISABLED, _IN_WORDS[_DISABLED], len(found.hosts))]


def _host(answer: claims.HostAnswer) -> dict[str, Any]:
    return {
        'host': answer.host,
        'serves': answer.serves,
        'condition': answer.condition,
        'needed': answer.needed,
        'left': answer.left,
        'detail': answer.detail,
        'near_misses': [
            {
                'devices': miss.devices,
                'pool': miss.pool,
                'key': miss.key,
                'wanted': miss.wanted,
                'found': miss.found,
            }
            for miss in answer.near_misses
        ],
    }


def _for_projects(found: claims.Explanation) -> dict[str, Any]:
    """Leave out everything that tells of hosts and their number.

    That some host has no such device says nothing while others have one.
    """
    reasons = [*_disabled(found), *found.reasons]
    conditions = {_SAME.get(r.condition, r.condition) for r in reasons}
    if found.serving:
        conditions &= {_DISABLED}
    elif not conditions:
        conditions = {_C.NO_MATCH}
    elif conditions - {_C.NO_MATCH, _C.HOST_DOWN}:
        conditions.discard(_C.NO_MATCH)
    return {
        'serving': None,
        'reasons': [
            {'condition': condition, 'text': _IN_WORDS[condition]}
            for condition in sorted(conditions)
        ],
    }
