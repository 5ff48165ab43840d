# SPDX-License-Identifier: Apache-2.0
"""Counts of a pool's devices by state, which explain refusals."""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
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
    rows = connection.execute(_counted(on_host)).all()
    notes = _notes(connection, rows, on_host)
    return _totals(rows, notes)[node_id]


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
    rows = list(live.rows(connection, _counted(wanted)))
    return _totals(rows, _notes(connection, rows, wanted))


#: Devices of a pool of which something is noted, for each state.
_MOST_NOTES = 3

#: Characters of a note that are shown.
_LONGEST_NOTE = 200

#: What is noted of devices: host, pool key and state, to texts.
_Notes = Mapping[tuple[int, int, str], list[str]]


def _notes(
    connection: sa.Connection,
    rows: Iterable[Sequence[Any]],
    wanted: sa.ColumnElement[bool],
) -> _Notes:
    """Return what is known of devices that are cleaning or quarantined."""
    notes: dict[tuple[int, int, str], list[str]] = collections.defaultdict(
        list
    )
    states = (fields.DeviceStatus.CLEANING, fields.DeviceStatus.QUARANTINED)
    if not any(state in states for _, _, state, _ in rows):
        return notes
    statement = (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.pool_key_id,
            _state(),
            _devices.c.preparation_percent,
            _devices.c.preparation_since,
            _devices.c.quarantine_reason,
        )
        .where(wanted, _devices.c.status.in_(states))
        .order_by(_devices.c.preparation_since)
    )
    for node_id, key_id, state, *facts in connection.execute(statement):
        texts = notes[node_id, key_id, state]
        text = _note(state, *facts) if state in states else None
        if text and len(texts) < _MOST_NOTES:
            texts.append(text)
    return notes


def _note(
    state: str,
    percent: int | None,
    since: datetime.datetime | None,
    reason: str | None,
) -> str | None:
    if state == fields.DeviceStatus.QUARANTINED:
        if reason is None or len(reason) <= _LONGEST_NOTE:
            return reason
        return f'{reason[:_LONGEST_NOTE]}...'
    if since is None:
        return None
    progress = '' if percent is None else f'{percent} %, '
    return f'{progress}since {since:%Y-%m-%d %H:%M} UTC'


def _totals(
    rows: Iterable[Sequence[Any]], notes: _Notes
) -> dict[int, list[claims.PoolTotal]]:
    states: dict[tuple[int, int], dict[str, int]] = {}
    for node_id, key_id, name, count in rows:
        states.setdefault((node_id, key_id), {})[name] = count
    totals: dict[int, list[claims.PoolTotal]] = collections.defaultdict(list)
    for (node_id, key_id), counts in states.items():
        told = {s: notes.get((node_id, key_id, s), ()) for s in counts}
        totals[node_id].append(claims.PoolTotal(key_id, counts, told))
    return totals


def _state() -> sa.ColumnElement[str]:
    """Return the state by which devices are counted."""
    # Held devices, too: nobody can claim them once they are free.
    is_withdrawn = _devices.c.presence == fields.Presence.WITHDRAWN
    return sa.case(
        (device_states.is_refused(), 'refused'),
        (is_withdrawn, 'withdrawn'),
        else_=device_states.state_in_full(),
    )


def _counted(wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:
    # Grouped by the column's name: PostgreSQL does not recognize the same
    # expression with other bound parameters.
    name = 'device_state'
    return (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.pool_key_id,
            _state().label(name),
            sa.func.count(),
        )
        .where(wanted)
        .group_by(
            _devices.c.compute_node_id,
            _devices.c.pool_key_id,
            sa.literal_column(name),
        )
    )
