# SPDX-License-Identifier: Apache-2.0
"""Devices and their history."""

from collections.abc import Sequence
import json
from typing import Any

from werkzeug import http
from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api import preconditions
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.schemas import pci_device as schema
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.store.views import device_pages

_TIMES = ('created_at', 'updated_at', 'preparation_since')

#: Members with the same value as the object's field or property.
_SHOWN = tuple(
    name
    for name in schema.SHOWN['properties']
    if name not in (*_TIMES, *schema.SINCE_1_2)
)

_EVENT_FIELDS = tuple(
    name
    for name in objects.PciDeviceEvent.fields
    if name not in ('device_uuid', 'created_at')
)


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List devices by host and address."""
    query = request.query
    page = device_pages.page(
        request.backends.database,
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
                'resource_type',
            ),
        ),
        query.get('marker'),
        query['limit'] + 1,
    )
    shown, last = responses.cut(page, lambda device: device.uuid, request)
    views = _views(request, shown)
    return responses.page(request, 'pci_devices', views, last)


def show(
    request: request_mod.ApiRequest, pci_device: str
) -> wrappers.Response:
    """Show a device."""
    device = lookup.get(request.backends.database, pci_device)
    [view] = _views(request, [device])
    return responses.unless_known(request, view, _tag(device))


def update(
    request: request_mod.ApiRequest, pci_device: str
) -> wrappers.Response:
    """Take a device out of service, clean it, or resolve its conflict."""
    if preconditions.names_state(request):
        before = lookup.get(request.backends.database, pci_device)
        preconditions.check_if_match(
            request, _tag(before), errors.DeviceChanged(before.uuid)
        )
    conductor, body = request.backends.conductor, request.body
    reason, actor = body.get('reason', ''), request.viewer.actor
    action = body['action']
    if (
        not microversion.includes(request.api_version, '1.1')
        and action in schema.ACTIONS_SINCE_1_1
    ):
        raise errors.MalformedRequest(
            f'The action {action} came with microversion 1.1.'
        )
    if action == schema.RESOLVE:
        moved_to = body.get('moved_to')
        after = conductor.resolve_device(pci_device, moved_to, reason, actor)
    else:
        after = conductor.set_device(pci_device, action, reason, actor)
    [view] = _views(request, [after])
    return responses.of(view, _tag(after))


def history(
    request: request_mod.ApiRequest, pci_device: str
) -> wrappers.Response:
    """Show a device's history, also after the device is gone.

    :raises PciDeviceNotFound: there is neither a history nor the device.
    """
    db = request.backends.database
    events = ledger.history(db, pci_device, request.query['limit'])
    if not events:
        # The history of a device that exists may have been purged.
        lookup.get(db, pci_device)
    return responses.of({'events': [_event(event) for event in events]})


def _tag(device: objects.PciDevice) -> str:
    """Return the ETag of a device, a hash of its whole view.

    But for the name of its PCI flavor, which cannot be renamed while a device
    is held through it.
    """
    view = _view(device, microversion.MAX)
    return http.generate_etag(json.dumps(view).encode())


def _views(
    request: request_mod.ApiRequest, devices: Sequence[objects.PciDevice]
) -> list[dict[str, Any]]:
    views = [_view(device, request.api_version) for device in devices]
    if microversion.includes(request.api_version, '1.2'):
        names = flavor_lookup.names(
            request.backends.database,
            {uuid for view in views if (uuid := view['pci_flavor_uuid'])},
        )
        for view in views:
            view['pci_flavor'] = names.get(view['pci_flavor_uuid'])
    return views


def _view(device: objects.PciDevice, api_version: str) -> dict[str, Any]:
    names, times = (
        microversion.known(shown, api_version, schema.ADDED)
        for shown in (_SHOWN, _TIMES)
    )
    if not microversion.includes(api_version, '1.1'):
        # Without them, the device has a state that 1.0 knows.
        device = device.replace(conflict=None, refusal=None)
    return {
        **{name: getattr(device, name) for name in names},
        **{name: responses.time(getattr(device, name)) for name in times},
    }


def _event(event: objects.PciDeviceEvent) -> dict[str, Any]:
    return {
        'created_at': responses.time(event.created_at),
        **{name: getattr(event, name) for name in _EVENT_FIELDS},
    }
