# SPDX-License-Identifier: Apache-2.0
"""Hosts: listing them, their signs of life, and their lock."""

import dataclasses
import datetime

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import policy

_nodes = models.compute_nodes


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A host as operators see it.

    :ivar generation: the generation of the last report that was applied.
    :ivar is_up: whether the agent reported within ``host_timeout``.
    :ivar devices: how many devices the host has, whatever their state.
    :ivar tracker_version: version of this project in the host's nova-compute;
        None means that its resource tracker has never registered.
    :ivar tracker_is_up: whether the resource tracker registered within
        ``tracker_timeout``.
    """

    id: int
    host: str
    generation: int
    agent_version: str
    last_report_at: datetime.datetime
    is_up: bool
    devices: int
    tracker_version: str | None = None
    tracker_seen_at: datetime.datetime | None = None
    tracker_is_up: bool = False


@database.retried
def get_all(db: database.Reader, limits: policy.Limits) -> list[Host]:
    """Return all hosts by name."""
    with db.read() as connection:
        return _select(connection, limits)


@database.retried
def page(
    db: database.Reader,
    limits: policy.Limits,
    host: str | None = None,
    is_up: bool | None = None,
    marker: str | None = None,
    limit: int | None = None,
) -> list[Host]:
    """Return some hosts by name.

    :param host: only the host of this name.
    :param is_up: True for only hosts that are up, False for only those that
        are down.
    :param marker: the last host of the page before; None means the first page.
    :param limit: how many hosts at most; None means all.
    :raises: Invalid if there is no host for the marker.
    """
    conditions: list[sa.ColumnElement[bool]] = []
    if host is not None:
        conditions.append(
            _nodes.c.host == host if database.is_storable(host) else sa.false()
        )
    if is_up is not None:
        oldest = cutoff(limits.host_timeout)
        conditions.append(
            _nodes.c.last_report_at >= oldest
            if is_up
            else _nodes.c.last_report_at < oldest
        )
    with db.read() as connection:
        if marker is not None:
            _check_marker(connection, marker)
            conditions.append(_nodes.c.host > marker)
        return _select(connection, limits, *conditions, limit=limit)


def _check_marker(connection: sa.Connection, marker: str) -> None:
    statement = sa.select(_nodes.c.id).where(_nodes.c.host == marker)
    if (
        not database.is_storable(marker)
        or not connection.execute(statement).first()
    ):
        raise exception.Invalid(
            f'there is no host {marker!r} after which the list could go on; '
            'start again without a marker'
        )


def _select(
    connection: sa.Connection,
    limits: policy.Limits,
    *conditions: sa.ColumnElement[bool],
    limit: int | None = None,
) -> list[Host]:
    devices = models.pci_devices
    # A subquery for each selected host is cheaper than to count all devices.
    count = (
        sa.select(sa.func.count())
        .where(devices.c.compute_node_id == _nodes.c.id)
        .scalar_subquery()
        .label('devices')
    )
    statement = (
        sa.select(_nodes, count)
        .where(*conditions)
        .order_by(_nodes.c.host)
        .limit(limit)
    )
    oldest = cutoff(limits.host_timeout)
    oldest_tracker = cutoff(limits.tracker_timeout or 0)
    return [
        Host(
            row.id,
            row.host,
            row.generation,
            row.agent_version,
            row.last_report_at,
            row.last_report_at >= oldest,
            row.devices,
            row.tracker_version,
            row.tracker_seen_at,
            row.tracker_seen_at is not None
            and row.tracker_seen_at >= oldest_tracker,
        )
        for row in connection.execute(statement)
    ]


@database.retried
def with_devices(db: database.Reader) -> list[str]:
    """Return the names of hosts that offer devices, free or not."""
    devices = models.pci_devices
    offers_any = (
        sa.select(devices.c.id)
        .where(
            devices.c.compute_node_id == _nodes.c.id,
            devices.c.presence == fields.Presence.OFFERED,
        )
        .exists()
    )
    with db.read() as connection:
        names = connection.scalars(sa.select(_nodes.c.host).where(offers_any))
        return sorted(names)


def cutoff(timeout: float) -> datetime.datetime:
    """Return the time of the oldest sign of life that still counts.

    :param timeout: one of ``policy.Limits``.
    """
    return database.now() - datetime.timedelta(seconds=timeout)


def lock(connection: sa.Connection, host: str) -> int:
    """Lock a host: until the end, no other transaction changes its devices.

    The lock is a write, not a ``SELECT … FOR UPDATE``: the nodes of a Galera
    cluster do not know each other's read locks, but certify only one of two
    concurrent writes of a row. Claims on one host come from that host's
    resource tracker, one at a time, so no caller waits for long.

    :returns: the host's id.
    :raises: HostNotFound if its agent has never reported.
    """
    if not database.is_storable(host):
        raise exception.HostNotFound(host)
    updated = connection.execute(
        _nodes.update()
        .where(_nodes.c.host == host)
        .values(revision=_nodes.c.revision + 1)
    )
    if not updated.rowcount:
        raise exception.HostNotFound(host)
    return int(
        connection.execute(
            sa.select(_nodes.c.id).where(_nodes.c.host == host)
        ).scalar_one()
    )


def new_fence(connection: sa.Connection, node_id: int) -> int:
    """Return a number that is greater than in each transaction before.

    :param node_id: of a host that the caller has locked.
    """
    return int(
        connection.execute(
            sa.select(_nodes.c.revision).where(_nodes.c.id == node_id)
        ).scalar_one()
    )


def ask_for_report(connection: sa.Connection, node_id: int) -> None:
    """Make conductors answer a host's next heartbeat: send a full report.

    To be called when a device was freed. Changes that an agent reports of a
    held device are not applied, and the agent would not report them again.
    """
    connection.execute(
        _nodes.update().where(_nodes.c.id == node_id).values(digest='')
    )


@database.retried
def touch(
    db: database.Writer, host: str, generation: int, digest: str
) -> bool:
    """Record the heartbeat of a host whose devices have not changed.

    :returns: False if the host is unknown, or its last report is not the one
        that was applied last.
    """
    with db.write() as connection:
        updated = connection.execute(
            _nodes.update()
            .where(
                _nodes.c.host == host,
                _nodes.c.generation == generation,
                _nodes.c.digest == digest,
            )
            .values(last_report_at=database.now())
        )
    return bool(updated.rowcount)
