# SPDX-License-Identifier: Apache-2.0
"""The ledger: the history of all devices.

Rows are only ever added. But the device of a row gets another UUID when its
host is renamed.
"""

from collections.abc import Iterable
import datetime
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import models

#: Characters of an actor that are stored.
_MAX_ACTOR = 255


def entry(
    device: objects.PciDevice,
    action: str,
    actor: str,
    to_state: str | None,
    reason: str | None = None,
    instance_uuid: str | None = None,
    after: objects.PciDevice | None = None,
) -> dict[str, Any]:
    """Return a row for ``append``.

    :param device: the device before the action; a new one has no status.
    :param action: for example ``claim``.
    :param actor: a service and host, or an operator's user name.
    :param to_state: the state after the action; None if the device is gone.
    :param reason: an explanation for people.
    :param instance_uuid: the instance that gains or loses the device; None
        means the device's owner.
    :param after: the device after the action, if that changes who holds it.
    """
    holding = device if after is None else after
    is_gone = to_state is None
    return {
        'device_uuid': device.uuid,
        'host': device.host,
        'address': device.address,
        'action': action,
        'from_state': device.state if device.get('status') else None,
        'to_state': to_state,
        'actor': actor[:_MAX_ACTOR],
        'reason': reason,
        'instance_uuid': instance_uuid or device.get('instance_uuid'),
        **{
            name: None if is_gone else holding.get(name)
            for name in ('project_id', 'pci_flavor_uuid')
        },
    }


def append(connection: sa.Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows in the caller's transaction."""
    at = database.now()
    values = [{'created_at': at, **row} for row in rows]
    if values:
        connection.execute(models.pci_device_events.insert(), values)


@database.retried
def history(
    db: database.Reader, device_uuid: str, limit: int = 1000
) -> list[objects.PciDeviceEvent]:
    """Return a device's newest events, oldest first.

    Events outlive the device: a device that comes back at its address has
    the same UUID and continues its history.
    """
    if not database.is_storable(device_uuid):
        return []
    events = models.pci_device_events
    statement = (
        sa.select(events)
        .where(events.c.device_uuid == device_uuid)
        .order_by(events.c.id.desc())
        .limit(limit)
    )
    with db.read() as connection:
        rows = connection.execute(statement).mappings().all()
    return [_event(row) for row in reversed(rows)]


def count_by_action(
    connection: sa.Connection, since: datetime.datetime
) -> dict[str, int]:
    """Return the number of events since a time (UTC), by action."""
    events = models.pci_device_events
    statement = (
        sa.select(events.c.action, sa.func.count())
        .where(events.c.created_at >= since)
        .group_by(events.c.action)
    )
    return {action: count for action, count in connection.execute(statement)}


def purge(db: database.Writer, before: datetime.datetime) -> int:
    """Delete events older than a time (UTC); return how many.

    The last one of them stays if it tells who held its device at that time.

    Many small transactions do it: one that deletes a year's events would hold
    locks for minutes, and be too large for a Galera cluster.
    """
    deleted = 0
    while count := _purge_batch(db, before):
        deleted += count
    return deleted


#: Events deleted in one transaction.
_PURGED_AT_ONCE = 5000


@database.retried
def _purge_batch(db: database.Writer, before: datetime.datetime) -> int:
    events = models.pci_device_events
    later = events.alias('later')
    is_followed = sa.exists().where(
        later.c.device_uuid == events.c.device_uuid,
        later.c.id > events.c.id,
        later.c.created_at < before,
    )
    oldest = (
        sa.select(events.c.id)
        .where(
            events.c.created_at < before,
            events.c.project_id.is_(None) | is_followed,
        )
        .order_by(events.c.created_at)
        .limit(_PURGED_AT_ONCE)
    )
    with db.write() as connection:
        ids = connection.execute(oldest).scalars().all()
        if ids:
            connection.execute(events.delete().where(events.c.id.in_(ids)))
        return len(ids)


def _event(row: Any) -> objects.PciDeviceEvent:
    return objects.PciDeviceEvent(
        **{name: row[name] for name in objects.PciDeviceEvent.fields}
    )
