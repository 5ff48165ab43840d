# SPDX-License-Identifier: Apache-2.0
"""Pools: ``GROUP BY`` over ``pci_devices``, computed when asked.

Nothing about a pool is stored, so nothing about it can be out of date. The
index ``ix_pci_devices_free`` keeps the query from reading what is held; ``make
bench`` tells what it costs beside a bare COUNT.
"""

import collections
from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import exclusion
from pci_passthrough.store import live_hosts
from pci_passthrough.store import models
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pools import candidates

_devices = models.pci_devices


def supply(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    key_ids: Collection[int] | None,
    limits: policy.Limits,
    hosts: Collection[str] | None = None,
) -> dict[str, claims.Supply]:
    """Return what each host that is up can give away now; see ``supply_of``.

    :param hosts: names of candidate hosts; None: all.
    """
    live = live_hosts.find(connection, limits.of_agents, hosts)
    return supply_of(connection, catalog, key_ids, live)


def supply_of(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    key_ids: Collection[int] | None,
    live: live_hosts.LiveHosts,
    *,
    exactly: bool = False,
) -> dict[str, claims.Supply]:
    """Return what hosts can give away now.

    Counting is left to the database, but for physical functions that compete
    with virtual functions: counts would not tell which go together.

    For some keys only, it may promise one thing too much: a device that was
    a physical function, is reported as an ordinary one now, and has a
    virtual function that is gone but still held. No claim gets it.

    :param key_ids: only devices of these pool keys; None: of all.
    :param exactly: not so, for some keys either; it takes longer.
    :returns: host name to supply; hosts without any are left out.
    """
    kinds = _by_kind(catalog, key_ids)
    found: dict[int, claims.Supply] = {}
    if kinds.physical and kinds.virtual:
        keys = sorted(kinds.physical | kinds.virtual)
        families = candidates.select(_devices.c.free_key.in_(keys))
        found = _families(connection, families, live)
        kinds = dataclasses.replace(kinds, physical=set(), virtual=set())
    free: dict[int, dict[int, int]] = collections.defaultdict(dict)
    statement = _free_pools(kinds, exactly=exactly or key_ids is None)
    if statement is not None:
        for node_id, key_id, count in live.rows(connection, statement):
            free[node_id][key_id] = free[node_id].get(key_id, 0) + count
    for node_id, counts in free.items():
        both = found.get(node_id, claims.NO_SUPPLY)
        counts = {k: n for k, n in counts.items() if n} | dict(both.free)
        found[node_id] = claims.Supply(counts, both.families)
    return {
        live.names[node_id]: supply
        for node_id, supply in found.items()
        if supply.free or supply.families
    }


@database.retried
def serving_hosts(
    db: database.Reader,
    limits: policy.Limits,
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None = None,
    hosts: Collection[str] | None = None,
) -> list[str]:
    """Return the hosts, by name, that can serve all demands of an instance.

    As ``PciDevicePoolList.supports_requests``, but only the pools which the
    demands can use are counted.

    :param hosts: names of candidate hosts; None: all.
    """
    key_ids = frozenset().union(
        *(a.key_ids for demand in demands for a in demand.alternatives)
    )
    with db.read() as connection:
        supplies = supply(connection, db.catalog, key_ids, limits, hosts)
    return sorted(
        host
        for host, free in supplies.items()
        if claims.decide(free, demands, db.catalog.__getitem__, numa)
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Kinds:
    """Pool key ids by what decides about the exclusion of PF and VFs."""

    ordinary: set[int]
    physical: set[int]
    virtual: set[int]


def _by_kind(
    catalog: pool_catalog.Catalog, key_ids: Collection[int] | None
) -> _Kinds:
    kinds = _Kinds(set(), set(), set())
    of_type = {
        fields.DevType.STANDARD: kinds.ordinary,
        fields.DevType.SRIOV_PF: kinds.physical,
        fields.DevType.SRIOV_VF: kinds.virtual,
        fields.DevType.VDPA: kinds.virtual,
    }
    for key_id in catalog.ids() if key_ids is None else key_ids:
        of_type[catalog[key_id].dev_type].add(key_id)
    return kinds


def _free_pools(
    kinds: _Kinds, *, exactly: bool
) -> sa.CompoundSelect[Any] | None:
    """Count free devices by host and key; some rows are to be subtracted."""
    if exactly:
        everything = kinds.ordinary | kinds.physical | kinds.virtual
        counted = _count(everything).where(exclusion.not_excluded(_devices))
        return sa.union_all(counted) if everything else None
    parts = []
    if kinds.ordinary:
        parts.append(_count(kinds.ordinary))
    if kinds.physical:
        childless = exclusion.no_child_held(_devices)
        parts.append(_count(kinds.physical).where(childless))
    if kinds.virtual:
        parts.append(_count(kinds.virtual))
        parts.append(_blocked_by_pf(kinds.virtual))
    return sa.union_all(*parts) if parts else None


def _count(key_ids: Collection[int]) -> sa.Select[Any]:
    hint = 'FORCE INDEX (ix_pci_devices_free)'
    return (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.free_key,
            sa.func.count().label('count'),
        )
        .where(_devices.c.free_key.in_(sorted(key_ids)))
        .group_by(_devices.c.free_key, _devices.c.compute_node_id)
        .with_hint(_devices, hint, 'mysql')
        .with_hint(_devices, hint, 'mariadb')
        .with_hint(_devices, 'INDEXED BY ix_pci_devices_free', 'sqlite')
    )


def _blocked_by_pf(key_ids: Collection[int]) -> sa.Select[Any]:
    """Count free virtual functions of held physical functions, negatively.

    Few physical functions are held, many virtual functions are free: this is
    cheaper than to look at the physical function of each of them.
    """
    pf = _devices.alias('pf')
    by_family = 'FORCE INDEX (ix_pci_devices_family)'
    by_type = 'FORCE INDEX (ix_pci_devices_type)'
    return (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.free_key,
            -sa.func.count(),
        )
        .join_from(
            pf,
            _devices,
            (_devices.c.compute_node_id == pf.c.compute_node_id)
            & (_devices.c.parent_addr == pf.c.address),
        )
        .where(
            pf.c.dev_type == fields.DevType.SRIOV_PF,
            pf.c.status.in_(exclusion.HELD),
            _devices.c.free_key.in_(sorted(key_ids)),
        )
        .group_by(_devices.c.free_key, _devices.c.compute_node_id)
        .with_hint(_devices, by_family, 'mysql')
        .with_hint(_devices, by_family, 'mariadb')
        .with_hint(pf, by_type, 'mysql')
        .with_hint(pf, by_type, 'mariadb')
    )


def _families(
    connection: sa.Connection,
    statement: sa.Select[Any],
    live: live_hosts.LiveHosts,
) -> dict[int, claims.Supply]:
    by_node: dict[int, list[claims.Candidate]] = collections.defaultdict(list)
    for node_id, *row in live.rows(connection, statement):
        by_node[node_id].append(candidates.from_row(*row))
    return {
        node_id: claims.supply_of(found) for node_id, found in by_node.items()
    }


def totals(key_ids: Collection[int] | None = None) -> sa.Select[Any]:
    """Count devices by host and pool key, whatever their state.

    :param key_ids: only those of these pool keys; None: all.
    """
    statement = sa.select(
        _devices.c.compute_node_id,
        _devices.c.pool_key_id,
        sa.func.count(),
    ).group_by(_devices.c.compute_node_id, _devices.c.pool_key_id)
    if key_ids is None:
        return statement
    return statement.where(_devices.c.pool_key_id.in_(sorted(key_ids)))
