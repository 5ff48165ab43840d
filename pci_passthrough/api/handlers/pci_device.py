# SPDX-License-Identifier: Apache-2.0
"""Devices, and what happened to them."""

import json
from typing import Any

from werkzeug import http
from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.api import preconditions
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.schemas import pci_device as schema
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.views import device_pages

_TIMES = ('created_at', 'updated_at')

#: Fields as they are; ``state`` is one of the object's properties.
_SHOWN = tuple(
    name for name in schema.SHOWN['properties'] if name not in _TIMES
)

#: What is said where If-Match names another state.
_CHANGED = exception.Conflict(
    'the device was changed by somebody else meanwhile; look at it again and '
    'repeat your change'
)

_OF_EVENTS = tuple(
    name
    for name in objects.PciDeviceEvent.fields
    if name not in ('device_uuid', 'created_at')
)


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List devices by host and address."""
    query = request.query
    found = device_pages.page(
        request.backends.database,
        request.backends.catalog,
        device_pages.DeviceFilter(
            states=tuple(query.get('state', ())),
            **request.given(
                'host',
                'address',
                'instance_uuid',
                'held_by',
                'pci_flavor',
                'vendor_id',
                'product_id',
                'dev_type',
                'numa_node',
            ),
        ),
        query.get('marker'),
        query['limit'] + 1,
    )
    shown, last = responses.cut(found, lambda device: device.uuid, request)
    views = [_view(device) for device in shown]
    return responses.page(request, 'pci_devices', views, last)


def show(
    request: request_mod.ApiRequest, pci_device: str
) -> wrappers.Response:
    """Show a device."""
    device = lookup.get(request.backends.database, pci_device)
    return preconditions.unless_known(
        request, responses.of(_view(device)), _tag(device)
    )


def update(
    request: request_mod.ApiRequest, pci_device: str
) -> wrappers.Response:
    """Take a device out of service, or into it again."""
    if request.if_match:
        before = lookup.get(request.backends.database, pci_device)
        preconditions.names(request, _tag(before), _CHANGED)
    after = request.backends.conductor.set_device(
        pci_device,
        request.body['action'],
        request.body.get('reason', ''),
        request.actor,
    )
    response = responses.of(_view(after))
    response.set_etag(_tag(after))
    return response


def history(
    request: request_mod.ApiRequest, pci_device: str
) -> wrappers.Response:
    """Show a device's history; it need not exist any more."""
    db = request.backends.database
    events = ledger.history(db, pci_device, request.query['limit'])
    if not events:
        # Purged, or never heard of.
        lookup.get(db, pci_device)
    return responses.of({'events': [_event(event) for event in events]})


def _tag(device: objects.PciDevice) -> str:
    """Return the ETag of a device: all that is shown of it counts."""
    return http.generate_etag(json.dumps(_view(device)).encode())


def _view(device: objects.PciDevice) -> dict[str, Any]:
    return {
        **{name: getattr(device, name) for name in _SHOWN},
        **{name: responses.time(getattr(device, name)) for name in _TIMES},
    }


def _event(event: objects.PciDeviceEvent) -> dict[str, Any]:
    return {
        'created_at': responses.time(event.created_at),
        **{name: getattr(event, name) for name in _OF_EVENTS},
    }
