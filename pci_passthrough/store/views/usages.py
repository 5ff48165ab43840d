# SPDX-License-Identifier: Apache-2.0
"""The devices that projects use: how many now, and for how long.

Each line of the ledger has the project and the PCI flavor by which a device is
held after it, so a device is used from one line to the next.
"""

import collections
from collections.abc import Mapping
import dataclasses
import datetime

import sqlalchemy as sa

from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.claims import quotas

_devices = models.pci_devices
_events = models.pci_device_events

#: A project, and the UUID of a PCI flavor, None if it is not known.
Key = tuple[str, str | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """The usages that are wanted; None means any.

    :ivar pci_flavor: UUID of a PCI flavor.
    """

    project_id: str | None = None
    pci_flavor: str | None = None

    def conditions(self, table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """Return the conditions for a table with both columns."""
        conditions: list[sa.ColumnElement[bool]] = [
            table.c.project_id.is_not(None)
        ]
        if self.project_id is not None:
            conditions.append(
                table.c.project_id == self.project_id
                if database.is_storable(self.project_id)
                else sa.false()
            )
        if self.pci_flavor is not None:
            conditions.append(table.c.pci_flavor_uuid == self.pci_flavor)
        return conditions


@database.retried
def used(db: database.Reader, wanted: Filter) -> dict[Key, int]:
    """Return how many devices are held, counted as for the limits."""
    by_instance = quotas.held_by_instance(
        (_devices.c.project_id, _devices.c.pci_flavor_uuid),
        None,
        *wanted.conditions(_devices),
    ).c
    key = by_instance.project_id, by_instance.pci_flavor_uuid
    statement = sa.select(*key, sa.func.sum(by_instance.most)).group_by(*key)
    with db.read() as connection:
        return {
            (project, pci_flavor): int(devices)
            for project, pci_flavor, devices in connection.execute(statement)
        }


@database.retried
def device_seconds(
    db: database.Reader,
    start: datetime.datetime,
    end: datetime.datetime,
    wanted: Filter,
) -> Mapping[Key, float]:
    """Return for how long devices were held in a period, in seconds.

    Two devices for an hour are 7200 seconds. While an instance is being moved
    it holds devices on two hosts, and both count.

    :param start: the beginning of the period in UTC; what the ledger does not
        have any more is not counted.
    :param end: its end; a time to come means now.
    """
    end = min(end, database.now())
    devices = sa.select(_events.c.device_uuid).where(
        *wanted.conditions(_events), _events.c.created_at < end
    )
    lines = (
        sa.select(
            _events.c.project_id,
            _events.c.pci_flavor_uuid,
            _events.c.created_at,
            sa.func.lead(_events.c.created_at, type_=models.Timestamp)
            .over(partition_by=_events.c.device_uuid, order_by=_events.c.id)
            .label('until'),
        )
        .where(_events.c.device_uuid.in_(devices), _events.c.created_at < end)
        .subquery()
    )
    statement = sa.select(lines).where(
        *wanted.conditions(lines),
        lines.c.until.is_(None) | (lines.c.until > start),
    )
    seconds: dict[Key, float] = collections.defaultdict(float)
    with db.read() as connection:
        for project, pci_flavor, since, until in connection.execute(statement):
            held = min(until or end, end) - max(since, start)
            # The clocks of conductors may differ.
            seconds[project, pci_flavor] += max(held.total_seconds(), 0)
    return seconds
