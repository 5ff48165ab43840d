# SPDX-License-Identifier: Apache-2.0
"""Devices: reading them, and what operators may do to them."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
import uuid

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog

_devices = models.pci_devices

#: A device that comes back at its address continues its history.
_UUID_NAMESPACE = uuid.UUID('5d3cf01c-6a3b-4f0e-9c5d-0d9f0a4b7d11')

#: Object fields that a row of ``pci_devices`` has under the same name.
_COLUMNS = tuple(
    name
    for name in objects.PciDevice.fields
    if name in _devices.c and name != 'dev_type'
)


def uuid_of(host: str, address: str) -> str:
    """Return the UUID of the device at an address of a host."""
    return str(uuid.uuid5(_UUID_NAMESPACE, f'{host}/{address}'))


@database.retried
def get_all(
    db: database.Reader,
    host: str | None = None,
    instance_uuid: str | None = None,
    state: str | None = None,
) -> list[objects.PciDevice]:
    """Return devices by host and address, all filters applied."""
    conditions: list[sa.ColumnElement[bool]] = []
    if host is not None:
        conditions.append(models.compute_nodes.c.host == host)
    if instance_uuid is not None:
        conditions.append(_devices.c.instance_uuid == instance_uuid)
    with db.read() as connection:
        found = select(connection, *conditions)
    return [d for d in found if state is None or d.state == state]


@database.retried
def get(db: database.Reader, device: str) -> objects.PciDevice:
    """Return a device by UUID or by ``host/address``.

    :raises: PciDeviceNotFound
    """
    with db.read() as connection:
        return _one(connection, device)


def select(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> list[objects.PciDevice]:
    """Return the devices that fulfil conditions, in the caller's view."""
    nodes = models.compute_nodes
    keys = models.pool_keys
    statement = (
        sa.select(
            _devices,
            nodes.c.host,
            *(keys.c[name] for name in _KEY_COLUMNS),
        )
        .join(nodes, nodes.c.id == _devices.c.compute_node_id)
        .join(keys, keys.c.id == _devices.c.pool_key_id)
        .where(*conditions)
        .order_by(nodes.c.host, _devices.c.address)
    )
    return [_device(row) for row in connection.execute(statement).mappings()]


_KEY_COLUMNS = (*objects.POOL_FIELDS, 'extra_info')


def disable(
    db: database.Writer, device: str, reason: str, actor: str
) -> objects.PciDevice:
    """Take a device out of service.

    Whoever holds it keeps it; it is not given away again.

    :raises: PciDeviceNotFound; DeviceStateConflict if it is disabled for
        another reason; Invalid if the reason cannot be kept.
    """
    return _set_disabled(db, device, 'disable', reason, reason, actor)


def enable(
    db: database.Writer, device: str, reason: str, actor: str
) -> objects.PciDevice:
    """Put a device that was disabled back into service.

    :raises: PciDeviceNotFound; Invalid if the reason cannot be kept.
    """
    return _set_disabled(db, device, 'enable', None, reason, actor)


def act(
    db: database.Writer, device: str, action: str, reason: str, actor: str
) -> objects.PciDevice:
    """Do what an operator wants done to a device.

    :param device: UUID or ``host/address``.
    :param action: one of ``lifecycle.OPERATOR_ACTIONS``.
    :param reason: why, one line; may be empty for some actions.
    :param actor: for the ledger.
    :raises: PciDeviceNotFound; DeviceStateConflict; Invalid if there is no
        such action, or the reason is missing or cannot be kept.
    """
    if action not in lifecycle.OPERATOR_ACTIONS:
        raise exception.Invalid(
            f'{action!r} is nothing that can be done to a PCI device; '
            f'possible: {", ".join(lifecycle.OPERATOR_ACTIONS)}'
        )
    if action in lifecycle.ACTIONS_WITH_REASON and not reason.strip():
        raise exception.Invalid(
            f'to {action} a PCI device takes a reason, for the next operator; '
            'for example: ECC errors, replacement is ordered'
        )
    if not database.could_be_kept(actor):
        raise exception.Invalid(f'{actor!r} names nobody')
    if action == 'disable':
        return disable(db, device, reason, actor)
    if action == 'enable':
        return enable(db, device, reason, actor)
    return move(db, device, action, reason, actor)


@database.retried
def _set_disabled(
    db: database.Writer,
    device: str,
    action: str,
    disabled_reason: str | None,
    reason: str,
    actor: str,
) -> objects.PciDevice:
    _check_reason(reason)
    with db.write() as connection:
        before = _lock(connection, device)
        if disabled_reason == before.disabled_reason:
            return before
        if None not in (disabled_reason, before.disabled_reason):
            # One operator's words are not another's to overwrite.
            raise exception.DeviceStateConflict(
                f'{before.uuid} ({before.address} on {before.host})',
                action,
                'disabled',
                ('enabled',),
                before.disabled_reason,
            )
        after = before.replace(disabled_reason=disabled_reason)
        return _write(connection, before, after, action, actor, reason or None)


@database.retried
def move(
    db: database.Writer, device: str, action: str, reason: str, actor: str
) -> objects.PciDevice:
    """Carry out an operator's ``quarantine`` or ``release``.

    A device that is there already stays as it is.

    :raises: DeviceStateConflict; PciDeviceNotFound; Invalid if the reason
        cannot be kept.
    """
    _check_reason(reason)
    with db.write() as connection:
        before = _lock(connection, device)
        if before.status == lifecycle.TRANSITIONS[action].target:
            return before
        after = before.replace(status=lifecycle.target_of(before, action))
        return _write(connection, before, after, action, actor, reason or None)


def forget_left(
    connection: sa.Connection,
    left: Iterable[objects.PciDevice],
    actor: str,
) -> None:
    """Delete devices that nobody has to remember and the host has not.

    To be called, in the same transaction, for devices that have just become
    nobody's.

    :param left: the devices as they are now.
    """
    gone = [
        device
        for device in left
        if device.presence != fields.Presence.OFFERED
        and device.status == fields.DeviceStatus.AVAILABLE
        and device.disabled_reason is None
    ]
    if not gone:
        return
    connection.execute(
        _devices.delete().where(_devices.c.uuid.in_([d.uuid for d in gone]))
    )
    ledger.append(
        connection,
        [
            ledger.entry(device, 'remove', actor, None, 'not on the host')
            for device in gone
        ],
    )


#: Longest reason: that of ``disabled_reason``.
_MAX_REASON = 255


def _check_reason(reason: str | None) -> None:
    if reason is not None and (
        len(reason) > _MAX_REASON or not reason.isprintable()
    ):
        raise exception.Invalid(
            f'a reason is one line of up to {_MAX_REASON} printable '
            f'characters, not {reason!r}'
        )


def _lock(connection: sa.Connection, device: str) -> objects.PciDevice:
    """Lock a device's host; return the device as it is then."""
    hosts.lock(connection, _one(connection, device).host)
    return _one(connection, device)


def _one(connection: sa.Connection, device: str) -> objects.PciDevice:
    if not database.could_be_kept(device):
        raise exception.PciDeviceNotFound(device)
    wanted = uuid_of(*device.rsplit('/', 1)) if '/' in device else device
    found = select(connection, _devices.c.uuid == wanted)
    if not found:
        raise exception.PciDeviceNotFound(device)
    return found[0]


def _write(
    connection: sa.Connection,
    before: objects.PciDevice,
    after: objects.PciDevice,
    action: str,
    actor: str,
    reason: str | None,
) -> objects.PciDevice:
    at = database.now()
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid == before.uuid)
        .values(
            status=after.status,
            disabled_reason=after.disabled_reason,
            updated_at=at,
        )
    )
    ledger.append(
        connection, [ledger.entry(before, action, actor, after.state, reason)]
    )
    forget_left(connection, [after], actor)
    return after.replace(updated_at=at)


def _device(row: Any) -> objects.PciDevice:
    key = pool_catalog.pool_key(row)
    device = objects.PciDevice(
        host=row['host'],
        extra_info=dict(key.extra_info),
        **{name: getattr(key, name) for name in objects.POOL_FIELDS},
        **{name: row[name] for name in _COLUMNS},
    )
    return device


def addresses(found: Sequence[objects.PciDevice]) -> list[str]:
    """Return ``host/address`` of devices, for messages."""
    return [f'{device.host}/{device.address}' for device in found]
