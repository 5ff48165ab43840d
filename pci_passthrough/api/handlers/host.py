# SPDX-License-Identifier: Apache-2.0
"""Hosts whose agents have reported."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.store import hosts


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List hosts by name."""
    query = request.query
    page = hosts.page(
        request.backends.database,
        request.backends.limits,
        query.get('host'),
        {'up': True, 'down': False}.get(query.get('state', '')),
        query.get('marker'),
        query['limit'] + 1,
    )
    shown, last = responses.cut(page, lambda host: host.host, request)
    views = [_view(host) for host in shown]
    return responses.page(request, 'hosts', views, last)


def delete(request: request_mod.ApiRequest, host: str) -> wrappers.Response:
    """Forget a host."""
    try:
        request.backends.conductor.forget_host(
            host,
            request.query.get('force', False),
            request.query.get('reason', ''),
            request.viewer.actor,
        )
    except exception.Conflict as error:
        raise request.viewer.readable(error) from error
    return responses.empty()


def _view(host: hosts.Host) -> dict[str, Any]:
    tracker = 'up' if host.tracker_is_up else 'down'
    return {
        'host': host.host,
        'state': 'up' if host.is_up else 'down',
        'agent_version': host.agent_version,
        'generation': host.generation,
        'last_report_at': responses.time(host.last_report_at),
        'devices': host.devices,
        'tracker_state': tracker if host.tracker_version else 'never',
        'tracker_version': host.tracker_version,
        'tracker_seen_at': responses.time(host.tracker_seen_at),
    }
