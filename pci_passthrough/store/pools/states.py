# SPDX-License-Identifier: Apache-2.0
"""Counts of a pool's devices by state, which explain refusals."""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough.objects import fields
from pci_passthrough.store import device_states
from pci_passthrough.store import live_hosts
from pci_passthrough.store import models

_devices = models.pci_devices


def of_host(connection: sa.Connection, node_id: int) -> list[claims.PoolTotal]:
    """Count a host's devices by pool key and state."""
    on_host = _devices.c.compute_node_id == node_id
    return _totals(connection.execute(_counted(on_host)))[node_id]


def of_hosts(
    connection: sa.Connection,
    key_ids: Collection[int],
    live: live_hosts.LiveHosts,
) -> dict[int, list[claims.PoolTotal]]:
    """Count devices of some pool keys by host, pool key and state.

    :returns: the pools of each host's id; hosts without pools are left out.
    """
    if not key_ids:
        return collections.defaultdict(list)
    wanted = _devices.c.pool_key_id.in_(sorted(key_ids))
    return _totals(live.rows(connection, _counted(wanted)))


def _totals(
    rows: Iterable[Sequence[Any]],
) -> dict[int, list[claims.PoolTotal]]:
    states: dict[tuple[int, int], dict[str, int]] = {}
    for node_id, key_id, name, count in rows:
        states.setdefault((node_id, key_id), {})[name] = count
    totals: dict[int, list[claims.PoolTotal]] = collections.defaultdict(list)
    for (node_id, key_id), counts in states.items():
        totals[node_id].append(claims.PoolTotal(key_id, counts))
    return totals


def _counted(wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:
    # Held devices, too: nobody can claim them once they are free.
    is_withdrawn = _devices.c.presence == fields.Presence.WITHDRAWN
    state = sa.case(
        (device_states.is_refused(), 'refused'),
        (is_withdrawn, 'withdrawn'),
        else_=device_states.state_in_full(),
    )
    # Grouped by the column's name: PostgreSQL does not recognize the same
    # expression with other bound parameters.
    name = 'device_state'
    return (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.pool_key_id,
            state.label(name),
            sa.func.count(),
        )
        .where(wanted)
        .group_by(
            _devices.c.compute_node_id,
            _devices.c.pool_key_id,
            sa.literal_column(name),
        )
    )
