# SPDX-License-Identifier: Apache-2.0
"""Applying the reports of hosts' agents."""

from collections.abc import Iterable
from collections.abc import Sequence
import contextlib
import dataclasses
import time
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.objects import fields
from pci_passthrough.reporting import budget
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import moving
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import recording
from pci_passthrough.store.devices import report_log
from pci_passthrough.store.devices import shared_groups
from pci_passthrough.store.devices import withheld

_devices = models.pci_devices
_nodes = models.compute_nodes

#: Columns that a report may set. The owner is not among them, and the status
#: changes only if nobody holds the device: see ``reporting.preparation``.
_FACT_COLUMNS = (
    'uuid',
    'status',
    'presence',
    'conflict',
    'disabled_reason',
    *objects.device.PREPARATION_FIELDS,
    *(name for name in objects.device.REPORTED_FIELDS if name in _devices.c),
)


_DEFAULT_BUDGET = budget.HostBudget()


@database.retried
def apply(
    db: database.Writer,
    report: objects.HostReport,
    limits: budget.HostBudget = _DEFAULT_BUDGET,
) -> objects.ReportAck:
    """Bring a host's devices in line with a report, in one transaction.

    A report that is older than the last applied one, or is based on another
    generation, changes nothing; the answer then asks for a full report. A
    report that arrives twice is acknowledged twice.

    :param limits: what one host may have.
    :raises: Invalid if its sequence is negative or far ahead of the clock;
        HostOverBudget
    """
    _check_sequence(report)
    limits.check_report(report)
    report = recording.fitting(report)
    with db.write() as connection:
        node = _lock(connection, report.host)
        if node is None and not report.is_full:
            return _ack(0, 0, wanted_full=True)
        if node is None:
            node = _create(connection, report)
        if _is_applied(node, report):
            return _ack(node.generation, node.sequence, wanted_full=False)
        if not _fits(node, report):
            return _ack(node.generation, node.sequence, wanted_full=True)
        known = lookup.select(
            connection, _devices.c.compute_node_id == node.id
        )
        changes = reporting.changes(known, report)
        limits.check_devices(
            report.host, _all_after(report.host, known, changes)
        )
        _carry_out(connection, node, changes)
        withheld.renew(
            connection,
            node.id,
            _actor(report.host),
            {c.address for c in changes if c.action in _NEW_HARDWARE},
            {c.address for c in changes if 'serial_number' in c.values},
        )
        shared_groups.record(connection, node.id)
        _note_applied(connection, node, report, changes)
    for change in changes:
        report_log.log_change(report.host, change)
    return _ack(node.generation + 1, report.sequence, wanted_full=False)


def _note_applied(
    connection: sa.Connection,
    node: sa.Row[Any],
    report: objects.HostReport,
    changes: Iterable[reporting.Change],
) -> None:
    # After a move, only a full report tells what is at the old address.
    has_moved = any(c.action == reporting.Action.MOVE for c in changes)
    connection.execute(
        _nodes.update()
        .where(_nodes.c.id == node.id)
        .values(
            generation=node.generation + 1,
            sequence=report.sequence,
            digest='' if has_moved and not report.is_full else report.digest,
            agent_version=report.agent_version,
            last_report_at=database.now(),
        )
    )


#: Actions after which hardware is at an address that was not there before.
_NEW_HARDWARE = (reporting.Action.APPEAR, reporting.Action.REPLACED)


def _actor(host: str) -> str:
    return f'agent@{host}'


def _ack(
    generation: int, sequence: int, *, wanted_full: bool
) -> objects.ReportAck:
    wanted = objects.report.Wanted
    return objects.ReportAck(
        generation=generation,
        sequence=sequence,
        wanted=wanted.FULL_REPORT if wanted_full else wanted.NOTHING,
    )


#: Microseconds by which the clocks of hosts may be wrong.
_SKEW = 86400 * 10**6


def _latest_sequence() -> int:
    """Return the highest sequence that an agent can come to by its clock."""
    return time.time_ns() // 1000 + _SKEW


def _check_sequence(report: objects.HostReport) -> None:
    """Check that later reports of the host can have higher sequences.

    Otherwise one message would keep the host's agent out for ever. Sequences
    are times in microseconds.

    :raises: Invalid
    """
    if report.sequence < 0:
        raise exception.Invalid(
            f'the report of host {report.host!r} has the sequence '
            f'{report.sequence}; right would be the time in microseconds'
        )
    if report.sequence > _latest_sequence():
        raise exception.Invalid(
            f'the report of host {report.host!r} has the sequence '
            f'{report.sequence}, more than a day ahead; set the clock of the '
            'host'
        )


def _is_applied(node: sa.Row[Any], report: objects.HostReport) -> bool:
    """Whether a report is the one that was applied last, sent again."""
    return bool(
        node.generation
        and (node.sequence, node.digest) == (report.sequence, report.digest)
    )


def _fits(node: sa.Row[Any], report: objects.HostReport) -> bool:
    return bool(
        (report.sequence > node.sequence or node.sequence > _latest_sequence())
        and (report.is_full or report.base_generation == node.generation)
    )


def _lock(connection: sa.Connection, host: str) -> sa.Row[Any] | None:
    """Return a host after locking it; None if it is new."""
    with contextlib.suppress(exception.HostNotFound):
        hosts.lock(connection, host)
    return connection.execute(
        sa.select(_nodes).where(_nodes.c.host == host)
    ).one_or_none()


def _create(
    connection: sa.Connection, report: objects.HostReport
) -> sa.Row[Any]:
    """Add a host.

    Another conductor may add it at the same time. The later one fails and is
    repeated; the host then exists.
    """
    at = database.now()
    connection.execute(
        _nodes.insert().values(
            host=report.host,
            revision=0,
            generation=0,
            sequence=report.sequence - 1,
            digest='',
            agent_version=report.agent_version,
            last_report_at=at,
            created_at=at,
        )
    )
    return connection.execute(
        sa.select(_nodes).where(_nodes.c.host == report.host)
    ).one()


def _carry_out(
    connection: sa.Connection,
    node: sa.Row[Any],
    changes: Sequence[reporting.Change],
) -> None:
    """Write changes, and the ledger's events about them.

    Records that move, and those that disappear, leave their addresses before
    others take them: address and UUID are unique.
    """
    fence = preparing.Fence(connection, node.id)
    changes = [
        dataclasses.replace(change, values=fence.added_to(change.values))
        for change in changes
    ]
    after = {id(change): _after(node.host, change) for change in changes}
    keys = {i: objects.PoolKey.of(device) for i, device in after.items()}
    ids = pool_keys.ensure(connection, set(keys.values()))
    actor = _actor(node.host)
    leaving = [
        change.before.uuid
        for change in changes
        if change.before is not None
        and change.action in (reporting.Action.MOVE, reporting.Action.REMOVE)
    ]
    if leaving:
        connection.execute(
            _devices.delete().where(_devices.c.uuid.in_(leaving))
        )
    new_rows, moves, events = [], [], []
    for change in changes:
        device = after[id(change)]
        row = _columns(device, ids[keys[id(change)]])
        if change.before is None:
            new_rows.append({'compute_node_id': node.id, **row})
        elif change.before.uuid not in leaving:
            connection.execute(
                _devices.update()
                .where(_devices.c.uuid == device.uuid)
                .values(row)
            )
        if change.before and change.action == reporting.Action.MOVE:
            moves.append(moving.Move(change.before, device))
            events += moving.events(moves[-1], change.action, actor, _PROOF)
        elif _is_news(change):
            events.append(_event(node.host, change, device))
    if new_rows:
        connection.execute(_devices.insert(), new_rows)
    moving.insert(connection, node.id, [move.after for move in moves])
    ledger.append(connection, events)


#: Why a record moves, for the ledger.
_PROOF = 'the serial number proves it'


def _event(
    host: str, change: reporting.Change, after: objects.PciDevice
) -> dict[str, Any]:
    """Return the ledger's row about a change that is no move."""
    before = change.before or objects.PciDevice(
        uuid=after.uuid, host=host, address=change.address
    )
    removed = change.action == reporting.Action.REMOVE
    return ledger.entry(
        before,
        change.action,
        _actor(host),
        None if removed else after.state,
        _reason(change),
    )


def _is_news(change: reporting.Change) -> bool:
    """Whether the ledger gets an event about a change.

    It gets none about facts that change by themselves, nor if only the agent
    changed, which reports one more fact now: an upgrade of all agents would
    fill the ledger.
    """
    before = change.before
    if before is None or change.action != reporting.Action.CHANGE:
        return True
    lasting = before.lasting()
    return any(
        name in lasting
        and not (name in objects.device.LATER_FIELDS and lasting[name] is None)
        for name in change.values
    )


def _all_after(
    host: str,
    known: Iterable[objects.PciDevice],
    changes: Iterable[reporting.Change],
) -> list[objects.PciDevice]:
    """Return all devices of a host as they are after changes."""
    after = {device.uuid: device for device in known}
    for change in changes:
        if change.before is not None:
            after.pop(change.before.uuid, None)
        if change.action != reporting.Action.REMOVE:
            device = _after(host, change)
            after[device.uuid] = device
    return list(after.values())


def _after(host: str, change: reporting.Change) -> objects.PciDevice:
    """Return a device as it is after a change."""
    if change.before is not None:
        if change.action == reporting.Action.MOVE:
            return moving.moved(change.before, **change.values)
        return change.before.replace(**change.values)
    return objects.PciDevice(
        uuid=lookup.uuid_of(host, change.address),
        host=host,
        **{
            'status': fields.DeviceStatus.AVAILABLE,
            'disabled_reason': None,
            **change.values,
        },
    )


def _columns(device: objects.PciDevice, key_id: int) -> dict[str, Any]:
    at = database.now()
    times = (
        {'updated_at': at} if device.get('created_at') else {'created_at': at}
    )
    facts = {name: device.get(name) for name in _FACT_COLUMNS}
    facts['dev_type'] = device.dev_type or ''
    return {'pool_key_id': key_id, **facts, **times}


def _reason(change: reporting.Change) -> str | None:
    """Return the changed fields in words, as ``field: old -> new``."""
    if change.reason is not None:
        return change.reason
    if change.action == reporting.Action.REFUSE:
        return _after('', change).refusal
    if change.before is None:
        return None
    if change.action == reporting.Action.CONFLICT:
        return _after('', change).conflict
    if change.action == reporting.Action.REPLACED:
        old, new = (
            objects.Identity.of(device).in_words
            for device in (change.before, _after('', change))
        )
        return f'{old} -> {new}'
    return (
        '; '.join(
            f'{name}: {change.before.get(name)} -> {value}'
            for name, value in sorted(change.values.items())
            if name not in objects.device.PREPARATION_FIELDS
            and value != change.before.get(name)
        )
        or None
    )
