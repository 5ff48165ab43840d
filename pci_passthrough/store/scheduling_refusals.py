# SPDX-License-Identifier: Apache-2.0
"""Refusals of Nova's scheduler, stored for some days to be explained."""

from collections.abc import Sequence
import datetime
import json
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.objects import recordable
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import models

_refusals = models.scheduling_refusals

#: Fields that are stored. Conditions are for the metrics only.
_STORED = ('instance_uuid', 'created_at', 'requests', 'summary', 'reasons')

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
            connection.execute(
                _refusals.insert().values(
                    instance_uuid=refusal.instance_uuid,
                    created_at=database.now(),
                    requests=recordable.cut(refusal.requests, _LONGEST_TEXT),
                    summary=recordable.cut(refusal.summary, _LONGEST_TEXT),
                    reasons=_reasons(refusal.reasons),
                )
            )
        _delete_old(connection, refusal.instance_uuid, days)


def _reasons(reasons: Sequence[Any]) -> list[list[Any]]:
    largest = sorted(reasons, key=lambda reason: -int(reason[1]))
    kept: list[list[Any]] = [
        [
            recordable.cut(str(what), _LONGEST_REASON),
            int(count),
            [recordable.cut(str(host), 255) for host in hosts[:_MOST_HOSTS]],
        ]
        for what, count, hosts in largest[:_MOST_REASONS]
    ]
    for reason in reversed(kept):
        if len(json.dumps(kept)) > _MOST_BYTES:
            reason[2] = []
    return kept


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


@database.retried
def get_all(
    db: database.Reader,
    days: float,
    instance_uuid: str | None = None,
    limit: int = 100,
) -> list[objects.SchedulingRefusal]:
    """Return the newest refusals, oldest first.

    :param days: how long refusals are stored.
    :param instance_uuid: only refusals of this instance; None means of all.
    """
    statement = (
        sa.select(_refusals)
        .where(_refusals.c.created_at >= _cutoff(days))
        .order_by(_refusals.c.id.desc())
        .limit(limit)
    )
    if instance_uuid is not None:
        statement = statement.where(_refusals.c.instance_uuid == instance_uuid)
    with db.read() as connection:
        rows = connection.execute(statement).mappings().all()
    return [
        objects.SchedulingRefusal(**{name: row[name] for name in _STORED})
        for row in reversed(rows)
    ]
