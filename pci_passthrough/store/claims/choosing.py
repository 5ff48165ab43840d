# SPDX-License-Identifier: Apache-2.0
"""Choosing free devices of one host, and the UPDATE that takes them.

Both run in the caller's transaction, which holds the host's lock.
"""

import collections
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
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
class Assignment:
    """A chosen device, and the request that it serves."""

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
    instance_uuid: str,
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None,
    quotas: Mapping[str, claims.Quota],
) -> list[Assignment]:
    """Choose devices that serve all demands of an instance.

    :param vf_placement: one of ``claims.VF_PLACEMENTS``.
    :param quotas: by UUID of a PCI flavor; the others have no limit.
    :raises: ClaimRefused with the reasons.
    """
    key_ids = frozenset().union(
        *(a.key_ids for demand in demands for a in demand.alternatives)
    )
    free = candidates.of_host(connection, node_id, key_ids, instance_uuid)
    get_key = catalog.__getitem__
    room = {uuid: quota.room for uuid, quota in quotas.items()}
    decision = claims.decide_among(free, demands, get_key, numa, room)
    if decision is None:
        if room and claims.decide_among(free, demands, get_key, numa):
            reasons = claims.explain_quotas(host, demands, quotas)
        else:
            totals = states.of_host(connection, node_id)
            supply = claims.supply_of(free)
            reasons = claims.explain(
                host, demands, supply, totals, get_key, numa
            )
        raise exception.ClaimRefused(claims.summarize(reasons), reasons)
    chosen = claims.choose(
        free,
        decision,
        _held_vfs(connection, node_id),
        vf_placement,
    )
    return [
        Assignment(
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
    return dict(connection.execute(statement).all())


def take(
    connection: sa.Connection,
    node_id: int,
    instance_uuid: str,
    assignments: Sequence[Assignment],
    project_id: str | None = None,
) -> None:
    """Give the chosen devices to an instance, by one conditional UPDATE.

    :param project_id: the instance's project, if it is known.
    :raises: LostRace if one of the devices cannot be claimed any more.
    """
    by_id = {a.device_id: a for a in assignments}
    updated = connection.execute(
        _devices.update()
        .where(
            # The ids themselves, too: without them, MariaDB would read and
            # lock the whole table to compare it with the inner SELECT.
            _devices.c.id.in_(sorted(by_id)),
            _devices.c.id.in_(_still_claimable(node_id, assignments)),
        )
        .values(
            status=fields.DeviceStatus.CLAIMED,
            instance_uuid=instance_uuid,
            project_id=project_id,
            request_id=sa.case(
                {i: a.request_id for i, a in by_id.items()},
                value=_devices.c.id,
            ),
            pci_flavor_uuid=sa.case(
                {i: a.pci_flavor_uuid for i, a in by_id.items()},
                value=_devices.c.id,
            ),
            updated_at=database.now(),
        ),
        {exclusion.CLAIMANT: instance_uuid},
    )
    if updated.rowcount != len(assignments):
        raise LostRace


def _still_claimable(
    node_id: int, assignments: Sequence[Assignment]
) -> sa.Select[Any]:
    """Select the chosen devices that still fulfil all conditions of a choice.

    The SELECT is wrapped in another, and DISTINCT, because MySQL updates a
    table that it also reads only if what it reads is materialized.
    """
    by_key: dict[int, list[int]] = collections.defaultdict(list)
    for assignment in assignments:
        by_key[assignment.key_id].append(assignment.device_id)
    chosen = sa.or_(
        *(
            (_inner.c.free_key == key_id) & _inner.c.id.in_(sorted(ids))
            for key_id, ids in sorted(by_key.items())
        )
    )
    claimable = (
        sa.select(_inner.c.id)
        .where(_inner.c.compute_node_id == node_id)
        .where(chosen, exclusion.not_excluded_for_claim(_inner))
        .distinct()
        .subquery('claimable')
    )
    return sa.select(claimable.c.id)
