# SPDX-License-Identifier: Apache-2.0
"""Hosts: who reports, since when, and the lock that serializes them."""

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

    :ivar generation: of the last report that was applied.
    :ivar is_up: whether it reported recently enough to be offered.
    :ivar devices: how many devices it has, in whatever state.
    :ivar tracker_version: of this project in its nova-compute; None: that
        has never registered.
    :ivar tracker_is_up: whether it registered recently enough for the
        scheduler.
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

    :param host: only this one.
    :param is_up: only those that are up, or those that are down.
    :param marker: the host after which to begin; None: with the first.
    :param limit: how many at most; None: all.
    :raises: Invalid if there is no host for the marker.
    """
    conditions: list[sa.ColumnElement[bool]] = []
    if host is not None:
        conditions.append(
            _nodes.c.host == host
            if database.could_be_kept(host)
            else sa.false()
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
            _must_be_there(connection, marker)
            conditions.append(_nodes.c.host > marker)
        return _select(connection, limits, *conditions, limit=limit)


def _must_be_there(connection: sa.Connection, marker: str) -> None:
    statement = sa.select(_nodes.c.id).where(_nodes.c.host == marker)
    if (
        not database.could_be_kept(marker)
        or not connection.execute(statement).first()
    ):
        raise exception.Invalid(
            f'there is no host {marker!r} after which the list could go on; '
            'begin anew, without a marker'
        )


def _select(
    connection: sa.Connection,
    limits: policy.Limits,
    *conditions: sa.ColumnElement[bool],
    limit: int | None = None,
) -> list[Host]:
    devices = models.pci_devices
    # For each host that is wanted, and not for all that are there.
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
    """Return the names of hosts that offer devices, be they free or not."""
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
        found = connection.scalars(sa.select(_nodes.c.host).where(offers_any))
        return sorted(found)


def cutoff(host_timeout: float) -> datetime.datetime:
    """Return the time since which a host must have reported to be up."""
    return database.now() - datetime.timedelta(seconds=host_timeout)


def lock(connection: sa.Connection, host: str) -> int:
    """Let no other transaction change this host's devices until the end.

    The lock is a write, not a ``SELECT … FOR UPDATE``: in a Galera cluster
    two nodes know nothing of each other's read locks, but only one of two
    concurrent writes of a row is certified. Claims on one host come from
    that host's resource tracker, one at a time, so nobody waits for long.

    :returns: the host's id.
    :raises: HostNotFound if it never reported.
    """
    if not database.could_be_kept(host):
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


def ask_for_report(connection: sa.Connection, node_id: int) -> None:
    """Let the next sign of life of a host be answered with a question.

    What an agent sees of a device that a guest has is not noted. Once the
    device is nobody's it must be, and the agent would not tell it again.
    """
    connection.execute(
        _nodes.update().where(_nodes.c.id == node_id).values(digest='')
    )


@database.retried
def touch(
    db: database.Writer, host: str, generation: int, digest: str
) -> bool:
    """Note that a host has nothing new.

    :returns: False if the host is unknown here or what it last reported is
        not what the database has.
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
