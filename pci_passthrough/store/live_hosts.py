# SPDX-License-Identifier: Apache-2.0
"""The hosts that a query about pools is for."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa

from pci_passthrough.store import hosts as hosts_mod
from pci_passthrough.store import models

_nodes = models.compute_nodes
_devices = models.pci_devices

#: MariaDB plans longer IN lists badly.
MOST_IN_LIST = 500

_Statement = sa.Select[Any] | sa.CompoundSelect[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class LiveHosts:
    """Hosts that are up, and are wanted.

    :ivar names: id to name.
    :ivar are_few: whether it pays to name them in a query.
    """

    names: Mapping[int, str]
    are_few: bool

    def rows(
        self, connection: sa.Connection, statement: _Statement
    ) -> Iterator[Sequence[Any]]:
        """Yield those rows of a statement which are about these hosts.

        :param statement: selects from ``pci_devices``, the host's id first.
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
    host_timeout: float,
    hosts: Collection[str] | None,
) -> LiveHosts:
    """Return those of some hosts (None: of all) which are up."""
    statement = sa.select(_nodes.c.id, _nodes.c.host).where(
        _nodes.c.last_report_at >= hosts_mod.cutoff(host_timeout)
    )
    if hosts is not None and len(hosts) <= MOST_IN_LIST:
        statement = statement.where(_nodes.c.host.in_(sorted(hosts)))
        return LiveHosts(_names(connection, statement), are_few=True)
    live = _names(connection, statement)
    if hosts is None:
        return LiveHosts(live, are_few=False)
    wanted = set(hosts)
    names = {i: host for i, host in live.items() if host in wanted}
    return LiveHosts(names, are_few=len(names) * 3 < len(live))


def _names(
    connection: sa.Connection, statement: sa.Select[tuple[Any, Any]]
) -> dict[int, str]:
    return dict(connection.execute(statement).tuples().all())


def _restricted(statement: _Statement, node_ids: Sequence[int]) -> _Statement:
    condition = _devices.c.compute_node_id.in_(node_ids)
    if isinstance(statement, sa.Select):
        return statement.where(condition)
    parts = [p for p in statement.selects if isinstance(p, sa.Select)]
    return sa.union_all(*(part.where(condition) for part in parts))
