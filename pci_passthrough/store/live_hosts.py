# SPDX-License-Identifier: Apache-2.0
"""The hosts that are up, as the scope of a query about pools."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import hosts as hosts_mod
from pci_passthrough.store import models
from pci_passthrough.store import policy

_nodes = models.compute_nodes

#: MariaDB plans longer IN lists badly.
MOST_IN_LIST = 500

_Statement = sa.Select[Any] | sa.CompoundSelect[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class LiveHosts:
    """The requested hosts that are up, and why others are not.

    :ivar names: the hosts' ids and names.
    :ivar are_few: whether queries should list the ids.
    :ivar absent: for each requested host that is not up, one of
        ``host_unknown``, ``host_down``, ``tracker_down``.
    """

    names: Mapping[int, str]
    are_few: bool
    absent: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def only(self, hosts: Collection[str]) -> 'LiveHosts':
        """Return these hosts without any that are not among ``hosts``."""
        names = {i: host for i, host in self.names.items() if host in hosts}
        return LiveHosts(names, self.are_few or len(names) <= MOST_IN_LIST)

    def rows(
        self, connection: sa.Connection, statement: _Statement
    ) -> Iterator[Sequence[Any]]:
        """Yield the rows of a statement that are about these hosts.

        :param statement: a query of ``pci_devices`` whose first column is the
            host's id.
        """
        ids = sorted(self.names)
        if not self.are_few and ids:
            for row in connection.execute(statement):
                if row[0] in self.names:
                    yield row
            return
        while ids:
            batch, ids = ids[:MOST_IN_LIST], ids[MOST_IN_LIST:]
            yield from connection.execute(_restricted(statement, batch))


def find(
    connection: sa.Connection,
    limits: policy.Limits,
    hosts: Collection[str] | None,
) -> LiveHosts:
    """Return the hosts that are up.

    :param hosts: names of hosts; None means all, and the result then does not
        say which others there are.
    """
    condition = _absence(limits)
    if hosts is None:
        statement = sa.select(_nodes.c.id, _nodes.c.host, condition)
        rows = connection.execute(statement.where(condition.is_(None)))
        names = {node_id: host for node_id, host, _ in rows}
        return LiveHosts(names, are_few=False)
    known = 0
    if len(hosts) > MOST_IN_LIST:
        count = sa.select(sa.func.count()).select_from(_nodes)
        known = connection.execute(count).scalar_one()
    named = _named(connection, condition, hosts, known)
    names = {i: host for i, host, absence in named if absence is None}
    absent = dict.fromkeys(
        set(hosts).difference(names.values()),
        fields.RefusalCondition.HOST_UNKNOWN,
    ) | {host: absence for _, host, absence in named if absence is not None}
    are_few = len(hosts) <= MOST_IN_LIST or len(names) * 3 < known
    return LiveHosts(names, are_few, absent)


def known(connection: sa.Connection) -> LiveHosts:
    """Return all hosts, as though all of them were up."""
    rows = connection.execute(sa.select(_nodes.c.id, _nodes.c.host))
    return LiveHosts(dict(rows.all()), are_few=False)


def find_with_absent(
    connection: sa.Connection,
    limits: policy.Limits,
    hosts: Collection[str] | None,
) -> LiveHosts:
    """Return the hosts that are up, and why each of the others is not.

    :param hosts: names of hosts; None means all.
    """
    if hosts is not None:
        return find(connection, limits, hosts)
    statement = sa.select(_nodes.c.id, _nodes.c.host, _absence(limits))
    rows = connection.execute(statement).all()
    return LiveHosts(
        {node_id: host for node_id, host, absence in rows if absence is None},
        are_few=False,
        absent={host: why for _, host, why in rows if why is not None},
    )


def _named(
    connection: sa.Connection,
    condition: sa.ColumnElement[Any],
    hosts: Collection[str],
    known: int,
) -> list[tuple[int, str, str | None]]:
    """Return id, name and absence of hosts by their names.

    They are read in batches, unless they are most of the cloud: reading ten
    thousand hosts would take longer than counting the pools of a thousand.

    :param known: how many hosts exist; only needed if ``hosts`` are many.
    """
    statement = sa.select(_nodes.c.id, _nodes.c.host, condition)
    wanted = sorted(set(filter(database.is_storable, hosts)))
    if len(wanted) > MOST_IN_LIST and len(wanted) * 3 > known:
        names = set(wanted)
        rows = connection.execute(statement)
        return [row for row in rows if row[1] in names]
    selected: list[tuple[int, str, str | None]] = []
    while wanted:
        batch, wanted = wanted[:MOST_IN_LIST], wanted[MOST_IN_LIST:]
        of_batch = statement.where(_nodes.c.host.in_(batch))
        selected += connection.execute(of_batch).all()
    return selected


def _absence(limits: policy.Limits) -> sa.ColumnElement[Any]:
    """Return the condition by which a host is not up; NULL if it is up."""
    cases = [
        (
            _nodes.c.last_report_at < hosts_mod.cutoff(limits.host_timeout),
            fields.RefusalCondition.HOST_DOWN,
        )
    ]
    if limits.tracker_timeout is not None:
        oldest = hosts_mod.cutoff(limits.tracker_timeout)
        cases.append(
            (
                _nodes.c.tracker_seen_at.is_(None)
                | (_nodes.c.tracker_seen_at < oldest),
                fields.RefusalCondition.TRACKER_DOWN,
            )
        )
    return sa.case(*cases, else_=None)


def _restricted(statement: _Statement, node_ids: Sequence[int]) -> _Statement:
    if isinstance(statement, sa.Select):
        return statement.where(_node_id(statement).in_(node_ids))
    parts = [p for p in statement.selects if isinstance(p, sa.Select)]
    return sa.union_all(*(p.where(_node_id(p).in_(node_ids)) for p in parts))


def _node_id(statement: sa.Select[Any]) -> sa.ColumnElement[Any]:
    return statement.selected_columns[0]
