# SPDX-License-Identifier: Apache-2.0
"""Forgetting hosts. Each change is one transaction under the host's lock.

Claims and reports take the same lock (``hosts.lock``). One that was first is
seen here; one that comes later finds no such host.
"""

from collections.abc import Collection
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
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
    :param force: whether to forget a host of which instances hold devices.
    :param reason: one line of explanation; with ``force`` it is needed.
    :param actor: who forgets it, for the ledger.
    :returns: how many devices instances held.
    :raises: HostNotFound; HostIsUp; HostInUse; Invalid if the reason is
        missing or cannot be stored.
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
                raise in_use(host, held)
            # The guests are there as long as their nova-compute is.
            _check_tracker_down(connection, node_id, limits)
        why = f'the host was forgotten: {reason}' if reason.strip() else None
        _delete(connection, [node_id])
        ledger.append(
            connection,
            [ledger.entry(d, 'forget', actor, None, why) for d in devices],
        )
    return len(held)


def in_use(
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
