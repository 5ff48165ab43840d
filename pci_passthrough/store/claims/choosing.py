# SPDX-License-Identifier: Apache-2.0
"""Choosing free devices of one host, and taking them.

Both in the caller's transaction, which holds the host's lock.
"""

import collections
from collections.abc import Sequence
import dataclasses

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import exclusion
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pools import candidates
from pci_passthrough.store.pools import states

_devices = models.pci_devices
_inner = _devices.alias('chosen')


class LostRace(Exception):
    """The conditional UPDATE took fewer devices than were chosen."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """One device for one request."""

    device_id: int
    key_id: int
    request_id: str
    pci_flavor_uuid: str


def choose(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    vf_placement: str,
    host: str,
    node_id: int,
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None,
) -> list[Taken]:
    """Decide and pick devices, or refuse with the reasons."""
    key_ids = frozenset().union(
        *(a.key_ids for demand in demands for a in demand.alternatives)
    )
    found = candidates.of_host(connection, node_id, key_ids)
    supply = claims.supply_of(found)
    decision = claims.decide(supply, demands, catalog.__getitem__, numa)
    if decision is None:
        totals = states.of_host(connection, node_id)
        reasons = claims.explain(
            host, demands, supply, totals, catalog.__getitem__, numa
        )
        raise exception.ClaimRefused(claims.summarize(reasons), reasons)
    chosen = claims.choose(
        found,
        supply,
        decision,
        _held_vfs(connection, node_id),
        vf_placement,
    )
    return [
        Taken(
            candidate.device_id,
            candidate.key_id,
            pick.demand.request_id,
            pick.alternative.pci_flavor_uuid,
        )
        for pick in decision.picks
        for candidate in chosen[pick.demand.request_id]
    ]


def _held_vfs(connection: sa.Connection, node_id: int) -> dict[str, int]:
    statement = (
        sa.select(_devices.c.parent_addr, sa.func.count())
        .where(
            _devices.c.compute_node_id == node_id,
            _devices.c.parent_addr.is_not(None),
            _devices.c.status != fields.DeviceStatus.AVAILABLE,
        )
        .group_by(_devices.c.parent_addr)
    )
    return dict(connection.execute(statement).tuples().all())


def take(
    connection: sa.Connection,
    node_id: int,
    instance_uuid: str,
    taken: Sequence[Taken],
) -> None:
    """Make the chosen devices the instance's: one conditional UPDATE.

    The conditions repeat all that the choice relied on. The inner SELECT is
    wrapped, and DISTINCT, because MySQL updates no table that it reads from
    unless that result is materialized.

    :raises: LostRace if one of them is no longer to be had.
    """
    by_key: dict[int, list[int]] = collections.defaultdict(list)
    for one in taken:
        by_key[one.key_id].append(one.device_id)
    chosen = sa.or_(
        *(
            (_inner.c.free_key == key_id) & _inner.c.id.in_(sorted(ids))
            for key_id, ids in sorted(by_key.items())
        )
    )
    claimable = (
        sa.select(_inner.c.id)
        .where(_inner.c.compute_node_id == node_id)
        .where(chosen, exclusion.not_excluded(_inner))
        .distinct()
        .subquery('claimable')
    )
    by_id = {t.device_id: t for t in taken}
    updated = connection.execute(
        _devices.update()
        .where(
            # The list, too: MariaDB would read, and lock, the whole table to
            # compare it with the inner SELECT.
            _devices.c.id.in_(sorted(by_id)),
            _devices.c.id.in_(sa.select(claimable.c.id)),
        )
        .values(
            status=lifecycle.TRANSITIONS['claim'].target,
            instance_uuid=instance_uuid,
            request_id=sa.case(
                {i: t.request_id for i, t in by_id.items()},
                value=_devices.c.id,
            ),
            pci_flavor_uuid=sa.case(
                {i: t.pci_flavor_uuid for i, t in by_id.items()},
                value=_devices.c.id,
            ),
            updated_at=database.now(),
        )
    )
    if updated.rowcount != len(taken):
        raise LostRace
