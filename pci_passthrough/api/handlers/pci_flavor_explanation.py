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
from pci_passthrough.claims import project_words
from pci_passthrough.objects import fields
from pci_passthrough.store.views import explanations

_C = fields.RefusalCondition


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
        aggregates=request.backends.aggregates_for(flavor),
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
            else pci_flavor_warnings.for_nics(request)
        )
        return responses.of(body | _for_operators(request, explanation))
    return responses.of(body | _for_projects(request, explanation))


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
    if explanation.pci_flavor.state != project_words.DISABLED:
        return []
    return [
        claims.Reason(
            project_words.DISABLED,
            project_words.TEXTS[project_words.DISABLED],
            len(explanation.hosts),
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
    if condition == _C.AGGREGATE and not microversion.includes(
        request.api_version, '1.4'
    ):
        return _C.NO_MATCH
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


def _for_projects(
    request: request_mod.ApiRequest, explanation: claims.Explanation
) -> dict[str, Any]:
    """Return an explanation that reveals neither hosts nor their number.

    That some host has no such device says nothing while others have one.
    """
    reasons = [*_disabled(explanation), *explanation.reasons]
    conditions = project_words.in_order(reason.condition for reason in reasons)
    if explanation.serving:
        conditions = [c for c in conditions if c == project_words.DISABLED]
    elif not conditions:
        conditions = [_C.NO_MATCH]
    elif set(conditions) - {_C.NO_MATCH, _C.HOST_DOWN}:
        conditions = [c for c in conditions if c != _C.NO_MATCH]
    view: dict[str, Any] = {
        'serving': None,
        'reasons': [
            {'condition': condition, 'text': project_words.TEXTS[condition]}
            for condition in conditions
        ],
    }
    if microversion.includes(request.api_version, '1.2'):
        view['steps'] = [
            {
                'condition': step.condition,
                'fulfilled': step.fulfilled,
                'text': step.text,
            }
            for step in project_words.steps(
                (reason.condition for reason in reasons),
                bool(explanation.serving),
            )
        ]
        if request.viewer.sees_counts(explanation.pci_flavor.project_id):
            view['left'] = max((h.left for h in explanation.hosts), default=0)
    return view
