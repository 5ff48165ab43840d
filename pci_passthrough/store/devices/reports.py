# SPDX-License-Identifier: Apache-2.0
"""Applying the reports of hosts' agents."""

from collections.abc import Sequence
import contextlib
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store.devices import lookup

_devices = models.pci_devices
_nodes = models.compute_nodes

#: Columns that a report may set. The owner is not among them.
_FACT_COLUMNS = (
    'uuid',
    'presence',
    *(name for name in objects.device.REPORTED_FIELDS if name in _devices.c),
)


@database.retried
def apply(
    db: database.Writer, report: objects.HostReport
) -> objects.ReportAck:
    """Bring a host's devices in line with a report, in one transaction.

    A report that is older than the last applied one, or is based on another
    generation, changes nothing; the answer then asks for a full report. A
    report that arrives twice is acknowledged twice.
    """
    _check(report)
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
        _carry_out(connection, node, reporting.changes(known, report))
        connection.execute(
            _nodes.update()
            .where(_nodes.c.id == node.id)
            .values(
                generation=node.generation + 1,
                sequence=report.sequence,
                digest=report.digest,
                agent_version=report.agent_version,
                last_report_at=database.now(),
            )
        )
        return _ack(node.generation + 1, report.sequence, wanted_full=False)


#: Characters of what an agent reports, by field.
_LONGEST = {
    column.name: column.type.length
    for table in (_nodes, _devices, models.pool_keys)
    for column in table.c
    if isinstance(column.type, sa.String) and column.type.length
} | {'offered_by': objects.device.LONGEST_OFFERED_BY}


def _check(report: objects.HostReport) -> None:
    """Check that all texts of a report can be stored.

    :raises: Invalid
    """
    for part, name in [
        (report, 'host'),
        (report, 'agent_version'),
        *((device, name) for device in report.offered for name in _TEXTS),
    ]:
        value = part.get(name)
        if value is not None and (
            len(value) > _LONGEST[name] or not value.isprintable()
        ):
            raise exception.Invalid(
                f'report of {report.host[:255]!r}: {name} {value!r} is not '
                f'one line of up to {_LONGEST[name]} printable characters'
            )


#: Facts of any form.
_TEXTS = ('driver', 'devname', 'mac_address', 'offered_by')


def _ack(
    generation: int, sequence: int, *, wanted_full: bool
) -> objects.ReportAck:
    wanted = objects.report.Wanted
    return objects.ReportAck(
        generation=generation,
        sequence=sequence,
        wanted=wanted.FULL_REPORT if wanted_full else wanted.NOTHING,
    )


def _is_applied(node: sa.Row[Any], report: objects.HostReport) -> bool:
    """Whether a report is the one that was applied last, sent again."""
    return bool(
        node.generation
        and (node.sequence, node.digest) == (report.sequence, report.digest)
    )


def _fits(node: sa.Row[Any], report: objects.HostReport) -> bool:
    return bool(
        report.sequence > node.sequence
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
    """Write changes, and the ledger's events about them."""
    after = {change.address: _after(node.host, change) for change in changes}
    keys = {a: objects.PoolKey.of(device) for a, device in after.items()}
    ids = pool_keys.ensure(connection, set(keys.values()))
    actor = f'agent@{node.host}'
    new_rows, events = [], []
    for change in changes:
        device = after[change.address]
        removed = change.action == reporting.Action.REMOVE
        row = _columns(device, ids[keys[change.address]])
        if change.before is None:
            new_rows.append({'compute_node_id': node.id, **row})
        else:
            is_device = _devices.c.uuid == device.uuid
            connection.execute(
                _devices.delete().where(is_device)
                if removed
                else _devices.update().where(is_device).values(row)
            )
        if _is_new_knowledge(change):
            continue
        events.append(
            ledger.entry(
                change.before
                or objects.PciDevice(
                    uuid=device.uuid, host=node.host, address=change.address
                ),
                change.action,
                actor,
                None if removed else device.state,
                _reason(change),
            )
        )
    if new_rows:
        connection.execute(_devices.insert(), new_rows)
    ledger.append(connection, events)


def _is_new_knowledge(change: reporting.Change) -> bool:
    """Whether only the agent changed, which reports one more fact now.

    The ledger has no event about it: an upgrade of all agents would fill it.
    """
    before = change.before
    return (
        before is not None
        and change.action == reporting.Action.CHANGE
        and change.values.keys() == {'offered_by'}
        and before.offered_by is None
    )


def _after(host: str, change: reporting.Change) -> objects.PciDevice:
    """Return a device as it is after a change."""
    if change.before is not None:
        return change.before.replace(**change.values)
    return objects.PciDevice(
        uuid=lookup.uuid_of(host, change.address),
        host=host,
        status=objects.fields.DeviceStatus.AVAILABLE,
        presence=objects.fields.Presence.OFFERED,
        disabled_reason=None,
        **change.values,
    )


def _columns(device: objects.PciDevice, key_id: int) -> dict[str, Any]:
    at = database.now()
    times = (
        {'updated_at': at} if device.get('created_at') else {'created_at': at}
    )
    facts = {name: getattr(device, name) for name in _FACT_COLUMNS}
    return {'pool_key_id': key_id, **facts, **times}


def _reason(change: reporting.Change) -> str | None:
    """Return the changed fields in words, as ``field: old -> new``."""
    if change.before is None:
        return None
    return (
        '; '.join(
            f'{name}: {change.before.get(name)} -> {value}'
            for name, value in sorted(change.values.items())
        )
        or None
    )
