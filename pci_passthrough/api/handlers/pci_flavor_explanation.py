# SPDX-License-Identifier: Apache-2.0
"""Why requests for a PCI flavor get no devices."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.handlers import pci_flavor_warnings
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.objects import fields
from pci_passthrough.store.views import explanations

_C = fields.RefusalCondition

#: A condition of the PCI flavor itself, whatever the hosts have.
_DISABLED = fields.PciFlavorState.DISABLED

#: The text of each condition for projects: it reveals no host and no number.
_PROJECT_TEXTS = {
    _DISABLED: 'The PCI flavor is disabled and takes no new requests.',
    _C.NO_MATCH: 'The cloud has no such device.',
    _C.ALL_HELD: 'No device is free.',
    _C.TOO_FEW: 'Some devices are free, but too few on any one host.',
    _C.NUMA: 'Devices are free, but not on NUMA nodes that the NUMA policy '
    'allows.',
    _C.HOST_DOWN: 'Hosts that may have such devices are down.',
}

#: The condition that projects see in place of another, so that they cannot
#: tell these apart.
_PROJECT_CONDITIONS = {
    _C.NONE_FREE: _C.ALL_HELD,
    _C.REFUSED: _C.ALL_HELD,
    _C.SHARED: _C.TOO_FEW,
    _C.HOST_UNKNOWN: _C.HOST_DOWN,
    _C.TRACKER_DOWN: _C.HOST_DOWN,
}


def show(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Explain host by host; to projects, without hosts."""
    flavor = pci_flavor_view.get(request, pci_flavor)
    owner = flavor.project_id
    request.viewer.check_count(
        request.query['count'], policy.EXPLAIN_HOSTS, owner
    )
    if request.given('host', 'physical_network'):
        request.viewer.check(policy.EXPLAIN_HOSTS, owner)
    sees_hosts = request.viewer.sees_hosts(owner)
    nic = _nic(request, flavor)
    explanation = explanations.explain(
        request.backends.database,
        request.backends.limits,
        flavor,
        request.query['count'],
        request.query.get('host'),
        with_near_misses=sees_hosts,
        nic=nic,
    )
    body: dict[str, Any] = {
        'pci_flavor': flavor.uuid,
        'name': flavor.name,
        'count': explanation.count,
    }
    if sees_hosts:
        # The vnic_type of a NIC decides between a card and a slice of it.
        body |= (
            pci_flavor_warnings.of_flavor(request, flavor)
            if nic is None
            else pci_flavor_warnings.of_cards(request, None)
        )
        return responses.of(body | _for_operators(request, explanation))
    return responses.of(body | _for_projects(explanation))


def _nic(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> objects.RequestedNic | None:
    """Return the NIC that devices are asked for; None means no NIC."""
    networks = request.query.get('physical_network')
    if networks is None:
        return None
    return objects.RequestedNic(
        vnic_type=flavor.vnic_type or fields.VnicType.DIRECT,
        # The empty name stands for segments on no physical network. They do
        # not count where other segments are on one.
        physical_networks=[name for name in networks if name],
    )


def _for_operators(
    request: request_mod.ApiRequest, explanation: claims.Explanation
) -> dict[str, Any]:
    hosts, last = responses.after_marker(
        explanation.hosts, lambda answer: (answer.host,), request
    )
    disabled = _disabled(explanation)
    return {
        'serving': 0 if disabled else explanation.serving,
        'summary': ' '.join(
            [*(reason.text for reason in disabled), explanation.summary]
        ).strip(),
        'reasons': [
            {
                'condition': _condition(request, reason.condition),
                'text': reason.text,
                'hosts': reason.hosts,
            }
            for reason in (*disabled, *explanation.reasons)
        ],
        'hosts': [_host(request, answer) for answer in hosts],
        **responses.links(request, last),
    }


def _disabled(explanation: claims.Explanation) -> list[claims.Reason]:
    """Return the reason that a PCI flavor is disabled, if it is."""
    if explanation.pci_flavor.state != _DISABLED:
        return []
    return [
        claims.Reason(
            _DISABLED, _PROJECT_TEXTS[_DISABLED], len(explanation.hosts)
        )
    ]


def _condition(
    request: request_mod.ApiRequest, condition: str | None
) -> str | None:
    """Return a condition that the request's microversion knows."""
    if condition == _C.REFUSED and not microversion.includes(
        request.api_version, '1.1'
    ):
        return _C.ALL_HELD
    return condition


def _host(
    request: request_mod.ApiRequest, answer: claims.HostAnswer
) -> dict[str, Any]:
    return {
        'host': answer.host,
        'serves': answer.serves,
        'condition': _condition(request, answer.condition),
        'needed': answer.needed,
        'left': answer.left,
        'detail': answer.detail,
        'near_misses': [
            {
                'devices': miss.devices,
                'pool': miss.pool,
                'key': miss.key,
                'wanted': miss.wanted,
                'found': miss.actual,
            }
            for miss in answer.near_misses
        ],
    }


def _for_projects(explanation: claims.Explanation) -> dict[str, Any]:
    """Return an explanation that reveals neither hosts nor their number.

    That some host has no such device says nothing while others have one.
    """
    reasons = [*_disabled(explanation), *explanation.reasons]
    conditions = {
        _PROJECT_CONDITIONS.get(reason.condition, reason.condition)
        for reason in reasons
    }
    if explanation.serving:
        conditions &= {_DISABLED}
    elif not conditions:
        conditions = {_C.NO_MATCH}
    elif conditions - {_C.NO_MATCH, _C.HOST_DOWN}:
        conditions.discard(_C.NO_MATCH)
    return {
        'serving': None,
        'reasons': [
            {'condition': condition, 'text': _PROJECT_TEXTS[condition]}
            for condition in sorted(conditions)
        ],
    }
