# SPDX-License-Identifier: Apache-2.0
"""Refusals of Nova's scheduler, stored for some days to be explained."""

from collections.abc import Sequence
import dataclasses
import datetime
import json
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import recordable
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import models

_refusals = models.scheduling_refusals

#: Fields that may be unknown: the scheduler is of an earlier release.
_MAY_BE_UNKNOWN = ('conditions', 'pci_flavors', 'project_id', 'passed')

#: Refusals stored of one instance: a build is tried a few times only.
_MOST_OF_AN_INSTANCE = 10

#: Old refusals deleted with each new one, so that old ones run out.
_DELETED_AT_ONCE = 100

#: What is stored of a refusal: characters, and numbers of reasons and hosts.
_LONGEST_TEXT = 2000
_LONGEST_REASON = 300
_MOST_REASONS = 20
_MOST_HOSTS = 20

#: Bytes of all reasons together: MariaDB's TEXT holds 65535.
_MOST_BYTES = 60000


@database.retried
def add(
    db: database.Writer, refusal: objects.SchedulingRefusal, days: float
) -> None:
    """Store a refusal, and delete old ones.

    Texts and lists that are too long are cut: people read them, and a cut
    refusal is better than none.

    :param days: how long refusals are stored; 0 means not at all.
    :raises: InvalidRequest if the refusal is not about an instance.
    """
    request_spec.check_owner(refusal.instance_uuid)
    with db.write() as connection:
        if days:
            connection.execute(_refusals.insert().values(_row(refusal)))
        _delete_old(connection, refusal.instance_uuid, days)


def _row(refusal: objects.SchedulingRefusal) -> dict[str, Any]:
    largest = sorted(
        range(len(refusal.reasons)),
        key=lambda place: -int(refusal.reasons[place][1]),
    )[:_MOST_REASONS]
    project = refusal.get('project_id')
    return {
        'instance_uuid': refusal.instance_uuid,
        'created_at': database.now(),
        'requests': recordable.cut(refusal.requests, _LONGEST_TEXT),
        'summary': recordable.cut(refusal.summary, _LONGEST_TEXT),
        'reasons': _reasons([refusal.reasons[place] for place in largest]),
        'conditions': _words(refusal.get('conditions'), largest),
        'pci_flavors': _words(refusal.get('pci_flavors'), largest),
        'project_id': recordable.cut(project, 255) if project else None,
        'passed': refusal.get('passed'),
    }


def _reasons(reasons: Sequence[Any]) -> list[list[Any]]:
    kept: list[list[Any]] = [
        [
            recordable.cut(str(what), _LONGEST_REASON),
            int(count),
            [recordable.cut(str(host), 255) for host in hosts[:_MOST_HOSTS]],
        ]
        for what, count, hosts in reasons
    ]
    for reason in reversed(kept):
        if len(json.dumps(kept)) > _MOST_BYTES:
            reason[2] = []
    return kept


def _words(
    words: Sequence[str] | None, places: Sequence[int]
) -> list[str] | None:
    """Return the words of the reasons that are stored, in their order."""
    if words is None or len(words) <= max(places, default=-1):
        return None
    return [recordable.cut(str(words[place]), 255) for place in places]


def _delete_old(
    connection: sa.Connection, instance_uuid: str, days: float
) -> None:
    superfluous = (
        sa.select(_refusals.c.id)
        .where(_refusals.c.instance_uuid == instance_uuid)
        .order_by(_refusals.c.id.desc())
        .offset(_MOST_OF_AN_INSTANCE)
        .limit(_DELETED_AT_ONCE)
    )
    old = (
        sa.select(_refusals.c.id)
        .where(_refusals.c.created_at < _cutoff(days))
        .order_by(_refusals.c.created_at)
        .limit(_DELETED_AT_ONCE)
    )
    ids = {
        *connection.execute(superfluous).scalars(),
        *connection.execute(old).scalars(),
    }
    if ids:
        connection.execute(
            _refusals.delete().where(_refusals.c.id.in_(sorted(ids)))
        )


def _cutoff(days: float) -> datetime.datetime:
    return database.now() - datetime.timedelta(days=days)


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """Filters for refusals. A filter that is None excludes none.

    :ivar instance_uuid: only refusals of this instance.
    :ivar pci_flavor: only refusals for want of the PCI flavor of this name.
    :ivar since: only refusals at this time or later; in UTC, without a time
        zone.
    :ivar project_id: only refusals of this project's instances.
    :ivar unserved: only refusals after which no host was left.
    """

    instance_uuid: str | None = None
    pci_flavor: str | None = None
    since: datetime.datetime | None = None
    project_id: str | None = None
    unserved: bool = False


def count_by_flavor(
    connection: sa.Connection, since: datetime.datetime
) -> dict[str, int]:
    """Count the refusals after which no host was left, by PCI flavor.

    A refusal for want of two PCI flavors counts for both.

    :param since: only refusals at this time or later.
    :returns: name to number; also of PCI flavors that do not exist any more.
    """
    names = _refusals.c.pci_flavors
    statement = (
        sa.select(names, sa.func.count())
        .where(*_conditions(Filter(since=since, unserved=True)))
        .group_by(names)
    )
    counts: dict[str, int] = {}
    for together, count in connection.execute(statement):
        for name in set(together or ()):
            counts[name] = counts.get(name, 0) + count
    return counts


def marker_of(refusal: objects.SchedulingRefusal) -> str:
    """Return the text after which the next page of a list begins."""
    at = refusal.created_at
    text = at and at.replace(tzinfo=None).isoformat(timespec='microseconds')
    return f'{text}/{refusal.instance_uuid}'


@database.retried
def page(
    db: database.Reader,
    days: float,
    filters: Filter,
    marker: str | None = None,
    limit: int | None = None,
) -> list[objects.SchedulingRefusal]:
    """Return refusals, newest first.

    :param days: how long refusals are stored.
    :param marker: ``marker_of`` the last refusal of the page before, which
        need not exist any more; None means the first page.
    :param limit: how many refusals at most; None means all.
    :raises: Invalid if the marker is none.
    """
    statement = (
        sa.select(_refusals)
        .where(
            _refusals.c.created_at >= _cutoff(days),
            *_conditions(filters),
            *(() if marker is None else [_before(marker)]),
        )
        .order_by(
            _refusals.c.created_at.desc(), _refusals.c.instance_uuid.desc()
        )
        .limit(limit)
    )
    with db.read() as connection:
        rows = connection.execute(statement).mappings().all()
    return [_refusal(row) for row in rows]


def _refusal(row: Any) -> objects.SchedulingRefusal:
    # Of a list, NULL is read as an empty one.
    values = {
        name: row[name]
        for name in objects.SchedulingRefusal.fields
        if row[name] not in (None, []) or name not in _MAY_BE_UNKNOWN
    }
    return objects.SchedulingRefusal(**values)


def _conditions(filters: Filter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    columns = _refusals.c
    for column, value in (
        (columns.instance_uuid, filters.instance_uuid),
        (columns.project_id, filters.project_id),
    ):
        if value is not None:
            conditions.append(
                column == value if database.is_storable(value) else sa.false()
            )
    if filters.pci_flavor is not None:
        conditions.append(_contains(columns.pci_flavors, filters.pci_flavor))
    if filters.since is not None:
        conditions.append(columns.created_at >= filters.since)
    if filters.unserved:
        conditions.append(columns.passed == 0)
    return conditions


def _contains(names: Any, name: str) -> sa.ColumnElement[bool]:
    """Return the condition that a list in JSON contains a name.

    Within a name there is a backslash before each quote.
    """
    text = sa.type_coerce(names, sa.Text)
    quoted = json.dumps(name)
    # Unlike LIKE, REPLACE is case-sensitive on every database.
    return sa.or_(
        *(
            sa.func.replace(text, f'{before}{quoted}', '') != text
            for before in '[ '
        )
    )


def _before(marker: str) -> sa.ColumnElement[bool]:
    text, _, instance_uuid = marker.rpartition('/')
    try:
        at = datetime.datetime.fromisoformat(text).replace(tzinfo=None)
        request_spec.check_owner(instance_uuid)
    except (ValueError, exception.InvalidRequest) as error:
        raise exception.Invalid(
            f'{marker!r} is not the id of a refusal'
        ) from error
    columns = _refusals.c
    return sa.or_(
        columns.created_at < at,
        (columns.created_at == at) & (columns.instance_uuid < instance_uuid),
    )
