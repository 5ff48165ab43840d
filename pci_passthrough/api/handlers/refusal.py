# SPDX-License-Identifier: Apache-2.0
"""Refusals of Nova's scheduler: why a server got no host, or not this one."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.policies import refusal as policy
from pci_passthrough.claims import project_words
from pci_passthrough.store import scheduling_refusals


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List refusals, newest first.

    Who may see no hosts gets those after which no host was left.
    """
    query, viewer = request.query, request.viewer
    sees_hosts = viewer.may(policy.HOSTS)
    # No project has the empty id.
    project_id = viewer.project_id or ''
    page = scheduling_refusals.page(
        request.backends.database,
        request.backends.refusals_kept,
        scheduling_refusals.Filter(
            query.get('server'),
            query.get('pci_flavor'),
            responses.parse_time('since', query.get('since')),
            None if viewer.may(policy.ALL_PROJECTS) else project_id,
            unserved=not sees_hosts,
        ),
        query.get('marker'),
        query['limit'] + 1,
    )
    shown, last = responses.cut(page, scheduling_refusals.marker_of, request)
    views = [_view(refusal, sees_hosts) for refusal in shown]
    return responses.page(request, 'refusals', views, last)


def _view(
    refusal: objects.SchedulingRefusal, sees_hosts: bool
) -> dict[str, Any]:
    count = len(refusal.reasons)
    conditions = refusal.get('conditions', [None] * count)
    pci_flavors = refusal.get('pci_flavors', [None] * count)
    view = {
        'id': scheduling_refusals.marker_of(refusal),
        'created_at': responses.time(refusal.created_at),
        'server': refusal.instance_uuid,
        'project_id': refusal.get('project_id'),
    }
    if not sees_hosts:
        reasons = project_words.reasons(
            (condition or '', pci_flavor or '')
            for condition, pci_flavor in zip(
                conditions, pci_flavors, strict=True
            )
        )
        return view | {
            'reasons': [
                {
                    'condition': reason.condition,
                    'pci_flavor': reason.pci_flavor or None,
                    'text': reason.text,
                }
                for reason in reasons
            ]
        }
    return view | {
        'reasons': [
            {
                'condition': condition,
                'pci_flavor': pci_flavor or None,
                'text': text,
                'hosts': hosts,
                'some_hosts': names,
            }
            for (text, hosts, names), condition, pci_flavor in zip(
                refusal.reasons, conditions, pci_flavors, strict=True
            )
        ],
        # For a NIC they name physical networks.
        'requests': refusal.requests,
        'passed': refusal.get('passed'),
    }
