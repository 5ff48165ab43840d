# SPDX-License-Identifier: Apache-2.0
"""Turns of the periodic audit, and what the last one has found.

All processes of all conductors want to audit; one does in each interval.
"""

from collections.abc import Mapping
import dataclasses
import datetime

from oslo_db import exception as db_exc
import sqlalchemy as sa

from pci_passthrough.store import database
from pci_passthrough.store import models

_audits = models.audits

#: The only row.
_ID = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What the last finished audit has found.

    :ivar age: seconds since it ended.
    :ivar differences: their number by kind.
    """

    age: float
    differences: Mapping[str, int]


@database.retried
def take_turn(db: database.Writer, interval: float) -> bool:
    """Return whether the caller is to audit now.

    :param interval: seconds after which the next turn may begin.
    """
    at = database.now()
    due = at - datetime.timedelta(seconds=interval)
    with db.read() as connection:
        begun_at = connection.scalar(sa.select(_audits.c.begun_at))
    if begun_at is not None:
        if begun_at > due:
            return False
        with db.write() as connection:
            taken = connection.execute(
                _audits.update()
                .where(_audits.c.id == _ID, _audits.c.begun_at <= due)
                .values(begun_at=at)
            )
            return bool(taken.rowcount)
    try:
        with db.write() as connection:
            connection.execute(_audits.insert().values(id=_ID, begun_at=at))
    except db_exc.DBDuplicateEntry:
        # Another one was faster.
        return False
    return True


@database.retried
def record(db: database.Writer, differences: Mapping[str, int]) -> None:
    """Record what the audit of this turn has found.

    :param differences: their number by kind.
    """
    with db.write() as connection:
        connection.execute(
            _audits.update()
            .where(_audits.c.id == _ID)
            .values(ended_at=database.now(), differences=dict(differences))
        )


def last(connection: sa.Connection, now: datetime.datetime) -> Result | None:
    """Return what the last finished audit has found; None without one."""
    row = connection.execute(
        sa.select(_audits.c.ended_at, _audits.c.differences).where(
            _audits.c.ended_at.is_not(None)
        )
    ).first()
    if row is None:
        return None
    return Result((now - row.ended_at).total_seconds(), row.differences)
