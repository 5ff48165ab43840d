# SPDX-License-Identifier: Apache-2.0
"""Forgetting and renaming hosts, in one transaction under the hosts' locks.

Claims and reports take the same lock (``hosts.lock``). One that was first is
seen here; one that comes later finds no such host.
"""

from collections.abc import Collection
from collections.abc import Sequence
import contextlib
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.reporting import withholding
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import policy
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators

_nodes = models.compute_nodes
_devices = models.pci_devices


@database.retried
def forget(
    db: database.Writer,
    limits: policy.Limits,
    host: str,
    force: bool,
    reason: str,
    actor: str,
) -> int:
    """Delete a host and its devices; the ledger keeps their history.

    :param limits: by these the host is down, or it cannot be forgotten.
    :param force: whether to forget a host of which instances hold devices,
        or some are not fit for another instance.
    :param reason: one line of explanation; with ``force`` it is needed.
    :param actor: who forgets it, for the ledger.
    :returns: how many devices instances held.
    :raises: HostNotFound; HostIsUp; HostInUse; HostOutOfService; Invalid if
        the reason is missing or cannot be stored.
    """
    operators.check_reason(reason)
    operators.check_actor(actor)
    if force and not reason.strip():
        raise exception.Invalid(
            'to forget a host with force takes a reason, for the next '
            'operator; for example: the machine burned down'
        )
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        on_host = _devices.c.compute_node_id == node_id
        devices = lookup.select(connection, on_host)
        held = [d for d in devices if d.instance_uuid is not None]
        _check_agent_down(connection, node_id, limits)
        if held:
            if not force:
                raise _in_use(host, held)
            # The guests are there as long as their nova-compute is.
            _check_tracker_down(connection, node_id, limits)
        unfit = [d for d in devices if _is_unfit(d)]
        if unfit and not force:
            raise exception.HostOutOfService(
                host, [f'{d.address} ({d.state})' for d in unfit]
            )
        why = f'the host was forgotten: {reason}' if reason.strip() else None
        _delete(connection, [node_id])
        ledger.append(
            connection,
            [ledger.entry(d, 'forget', actor, None, why) for d in devices],
        )
    return len(held)


@database.retried
def rename(
    db: database.Writer,
    limits: policy.Limits,
    old: str,
    new: str,
    actor: str,
) -> int:
    """Give a host another name; its devices keep owners, states and history.

    If the host has reported by the new name already, what was recorded since
    gives way to what is known by the old name. The host is down until its
    agent sends the next full report by the new name.

    :param limits: by these the host is down by its old name.
    :returns: how many devices the host has.
    :raises: HostNotFound; HostIsUp if a service works by the old name;
        HostsDiffer if instances hold devices by the new name, or the two are
        not one machine, or a device is out of service by the new name;
        Invalid if the new name cannot be stored.
    """
    operators.check_actor(actor)
    if new in ('', old) or not objects.recordable.is_line(new, _LONGEST_NAME):
        raise exception.Invalid(
            f'the new name of a host is one line of up to {_LONGEST_NAME} '
            f'printable characters, other than its old name, not {new!r}'
        )
    with db.write() as connection:
        ids = _lock_both(connection, old, new)
        if old not in ids:
            raise exception.HostNotFound(old)
        _check_agent_down(connection, ids[old], limits)
        _check_tracker_down(connection, ids[old], limits)
        devices = _devices_of(connection, ids[old])
        nodes = {
            node.host: node
            for node in connection.execute(
                sa.select(_nodes).where(_nodes.c.id.in_(ids.values()))
            )
        }
        twin = nodes.get(new)
        if twin is not None:
            _check_successive(nodes[old], twin)
            _check_same(new, devices, _devices_of(connection, twin.id))
            _delete(connection, [twin.id])
        connection.execute(
            _nodes.update()
            .where(_nodes.c.id == ids[old])
            .values(host=new, **_joined(nodes[old], twin))
        )
        _carry_on(connection, devices, old, new, actor)
    return len(devices)


#: Characters of the column ``compute_nodes.host``.
_LONGEST_NAME = 255


def _lock_both(
    connection: sa.Connection, old: str, new: str
) -> dict[str, int]:
    """Lock both hosts, always in the same order; return the ids by name."""
    ids = {}
    for name in sorted((old, new)):
        with contextlib.suppress(exception.HostNotFound):
            ids[name] = hosts.lock(connection, name)
    return ids


def _devices_of(
    connection: sa.Connection, node_id: int
) -> list[objects.PciDevice]:
    return lookup.select(connection, _devices.c.compute_node_id == node_id)


def _check_successive(node: sa.Row[Any], twin: sa.Row[Any]) -> None:
    """Check that a host has reported by one name, and then by the other.

    :param node: the host by its old name.
    :param twin: the host by its new name.
    :raises: HostsDiffer
    """
    if twin.created_at <= node.last_report_at:
        raise exception.HostsDiffer(
            twin.host,
            f'{node.host!r} has reported since: these are two machines',
        )


def _check_same(
    new: str,
    devices: Sequence[objects.PciDevice],
    twins: Sequence[objects.PciDevice],
) -> None:
    """Check that the devices of a host may give way to those of its old name.

    :param devices: the devices by the old name.
    :param twins: the devices by the new name.
    :raises: HostsDiffer
    """
    held = [twin for twin in twins if twin.instance_uuid is not None]
    if held:
        raise exception.HostsDiffer(
            new,
            f'instance {held[0].instance_uuid} holds {held[0].address} there. '
            'If nova-compute has taken over by the new name what its '
            'instances have, forget the old name, with force and a reason',
        )
    by_address = {twin.address: twin for twin in twins}
    for device in devices:
        twin = by_address.get(device.address)
        if (
            device.instance_uuid is not None
            and device.presence == fields.Presence.OFFERED
            and (
                twin is None
                or objects.Identity.of(device).contradicts(
                    objects.Identity.of(twin)
                )
            )
        ):
            raise exception.HostsDiffer(
                new,
                f'it has no such device as {device.address}, which instance '
                f'{device.instance_uuid} holds by the old name. If this is '
                'another machine, the name is taken; if the card was moved, '
                'resolve that after the old name is back',
            )
    for twin in twins:
        if _is_unfit(twin):
            raise exception.HostsDiffer(
                new,
                f'{twin.address} is {twin.state} there, which would be lost. '
                'Enable or release the device, or wait until it is cleaned; '
                'then repeat this, and disable it again',
            )


def _is_unfit(device: objects.PciDevice) -> bool:
    """Whether a device must not be given away as it is."""
    return (
        withholding.is_operators(device.disabled_reason)
        or device.status == fields.DeviceStatus.QUARANTINED
        or (
            device.status == fields.DeviceStatus.CLEANING
            and not device.is_fresh
        )
    )


def _joined(node: sa.Row[Any], twin: sa.Row[Any] | None) -> dict[str, Any]:
    """Return the columns of a renamed host.

    Only a full report fits them. It has to come before the host is up: the
    time of the last report stays that of the old name.
    """
    both = [node] if twin is None else [node, twin]
    return {
        'revision': max(row.revision for row in both) + 1,
        'generation': max(row.generation for row in both) + 1,
        'sequence': max(row.sequence for row in both),
        'digest': '',
        'tracker_version': None if twin is None else twin.tracker_version,
        'tracker_seen_at': None if twin is None else twin.tracker_seen_at,
    }


def _carry_on(
    connection: sa.Connection,
    devices: Sequence[objects.PciDevice],
    old: str,
    new: str,
    actor: str,
) -> None:
    """Give devices the UUIDs of their new places, and their histories, too.

    A line of the ledger at the old place tells where the history continues.
    """
    events = models.pci_device_events
    lines = []
    for device in devices:
        uuid = lookup.uuid_of(new, device.address)
        connection.execute(
            _devices.update()
            .where(_devices.c.uuid == device.uuid)
            .values(uuid=uuid, updated_at=database.now())
        )
        connection.execute(
            events.update()
            .where(events.c.device_uuid == device.uuid)
            .values(device_uuid=uuid)
        )
        after = device.replace(uuid=uuid, host=new)
        lines += [
            ledger.entry(
                device, 'rename', actor, None, f'the host is {new} now'
            ),
            ledger.entry(
                after, 'rename', actor, after.state, f'the host was {old}'
            ),
        ]
    ledger.append(connection, lines)


def _in_use(
    host: str, held: Sequence[objects.PciDevice]
) -> exception.HostInUse:
    """Return the error about a host of which instances hold devices."""
    return exception.HostInUse(
        host,
        len(held),
        [f'{d.address} (instance {d.instance_uuid})' for d in held],
    )


def _delete(connection: sa.Connection, node_ids: Collection[int]) -> None:
    """Delete hosts that are locked, and their devices."""
    connection.execute(
        _devices.delete().where(_devices.c.compute_node_id.in_(node_ids))
    )
    connection.execute(_nodes.delete().where(_nodes.c.id.in_(node_ids)))


def _check_agent_down(
    connection: sa.Connection, node_id: int, limits: policy.Limits
) -> None:
    """Check that a host's agent has not reported within ``host_timeout``.

    :raises: HostIsUp
    """
    node = connection.execute(
        sa.select(_nodes.c.host, _nodes.c.last_report_at).where(
            _nodes.c.id == node_id
        )
    ).one()
    if node.last_report_at >= hosts.cutoff(limits.host_timeout):
        raise exception.HostIsUp(
            node.host, 'pci-passthrough-agent', limits.host_timeout
        )


def _check_tracker_down(
    connection: sa.Connection, node_id: int, limits: policy.Limits
) -> None:
    """Check that no nova-compute registered within ``tracker_timeout``.

    :raises: HostIsUp
    """
    timeout = limits.tracker_timeout or 0
    node = connection.execute(
        sa.select(_nodes.c.host, _nodes.c.tracker_seen_at).where(
            _nodes.c.id == node_id
        )
    ).one()
    seen_at = node.tracker_seen_at
    if seen_at is not None and seen_at >= hosts.cutoff(timeout):
        raise exception.HostIsUp(node.host, 'nova-compute', timeout)
