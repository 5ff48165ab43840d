# SPDX-License-Identifier: Apache-2.0
"""Counting pools: ``GROUP BY`` over ``pci_devices``, at each question.

Nothing about a pool is stored, so nothing about it can be out of date. The
index ``ix_pci_devices_free`` keeps the query from reading held devices;
``make bench`` compares the query with a bare COUNT.
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
from pci_passthrough.store import device_states
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
    """Count free devices of the hosts that are up; see ``supply_of``.

    :param hosts: names of candidate hosts; None means all.
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
    """Count the free devices of hosts.

    The database counts. But where physical functions compete with their own
    virtual functions, the devices themselves are read: counts do not say
    which function belongs to which.

    With ``key_ids``, one kind of device is counted as free although no claim
    gets it: a former physical function that is now reported as an ordinary
    device, of which a missing virtual function is still held.

    :param key_ids: only devices of these pool keys; None means of all.
    :param exactly: do not count that kind of device either; takes longer.
    :returns: supplies by host name; hosts without free devices are left out.
    """
    kinds = _by_kind(catalog, key_ids)
    supplies: dict[int, claims.Supply] = {}
    if kinds.physical and kinds.virtual:
        keys = sorted(kinds.physical | kinds.virtual)
        families = candidates.select(_devices.c.free_key.in_(keys))
        by_node = _by_node(connection, families, live)
        supplies = {i: claims.supply_of(free) for i, free in by_node.items()}
        kinds = dataclasses.replace(kinds, physical=set(), virtual=set())
    free: dict[int, dict[int, int]] = collections.defaultdict(dict)
    statement = _free_pools(
        kinds, exactly=exactly or key_ids is None, of_few=live.are_few
    )
    if statement is not None:
        for node_id, key_id, count in live.rows(connection, statement):
            free[node_id][key_id] = free[node_id].get(key_id, 0) + count
    for node_id, counts in free.items():
        in_families = supplies.get(node_id, claims.NO_SUPPLY)
        counts = {k: n for k, n in counts.items() if n}
        supplies[node_id] = claims.Supply(
            counts | dict(in_families.free), in_families.families
        )
    return {
        live.names[node_id]: supply
        for node_id, supply in supplies.items()
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

    The same as ``PciDevicePoolList.supports_requests``, but only pools that
    the demands can use are counted.

    :param hosts: names of candidate hosts; None means all.
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


@database.retried
def free_by_numa_node(db: database.Reader) -> dict[str, dict[int, int]]:
    """Count the free devices of all hosts by NUMA node.

    A physical function and its virtual functions are all counted, as in
    Nova's pools. Devices without a NUMA node are left out.
    """
    with db.read() as connection:
        db.catalog.refresh(connection)
        statement = _free_pools(_by_kind(db.catalog, None), exactly=False)
        rows = [] if statement is None else connection.execute(statement).all()
        names = live_hosts.known(connection).names
    hosts: dict[str, dict[int, int]] = collections.defaultdict(dict)
    for node_id, key_id, count in rows:
        numa_node = db.catalog[key_id].numa_node
        if numa_node is not None and node_id in names:
            nodes = hosts[names[node_id]]
            nodes[numa_node] = nodes.get(numa_node, 0) + count
    return {
        host: {node: count for node, count in nodes.items() if count}
        for host, nodes in hosts.items()
        if any(nodes.values())
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Kinds:
    """Ids of pool keys by the devices' part in the exclusion of PF and VFs.

    :ivar others: what is no PCI function, and may have one as its parent.
    """

    ordinary: set[int]
    physical: set[int]
    virtual: set[int]
    others: set[int]


def _by_kind(
    catalog: pool_catalog.Catalog, key_ids: Collection[int] | None
) -> _Kinds:
    kinds = _Kinds(set(), set(), set(), set())
    of_type = {
        fields.DevType.STANDARD: kinds.ordinary,
        fields.DevType.SRIOV_PF: kinds.physical,
        fields.DevType.SRIOV_VF: kinds.virtual,
        fields.DevType.VDPA: kinds.virtual,
        None: kinds.others,
    }
    for key_id in catalog.ids() if key_ids is None else key_ids:
        of_type[catalog[key_id].dev_type].add(key_id)
    return kinds


def _free_pools(
    kinds: _Kinds, *, exactly: bool, of_few: bool = False
) -> sa.CompoundSelect[Any] | None:
    """Count free devices by host and key; rows may have negative counts.

    :param of_few: whether the query will list the ids of the hosts.
    """
    if exactly:
        everything = (
            kinds.ordinary | kinds.physical | kinds.virtual | kinds.others
        )
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
    if kinds.others:
        unrelated = exclusion.no_relative_held(_devices)
        parts.append(_count(kinds.others).where(unrelated))
    if parts:
        parts.append(_blocked_by_group(kinds, of_few=of_few))
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
    )


def _blocked_by_pf(key_ids: Collection[int]) -> sa.Select[Any]:
    """Count free virtual functions of held physical functions, negatively.

    Few physical functions are held and many virtual functions are free, so
    this is cheaper than reading the physical function of each of them.
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


def _blocked_by_group(kinds: _Kinds, *, of_few: bool) -> sa.Select[Any]:
    """Count free devices of IOMMU groups with a held member, negatively.

    Few devices share their group with others, so this is cheaper than
    reading the group of each free device. A device that its physical or
    virtual functions exclude is not counted: the other parts leave it out.
    """
    related = kinds.physical | kinds.virtual | kinds.others
    index = 'ix_pci_devices_group'
    # The expressions keep SQLite from reading all free devices, or all
    # devices of the hosts, and MariaDB from planning for each host.
    node_id: sa.ColumnElement[Any] = (
        _devices.c.compute_node_id + sa.literal_column('0')
    )
    if of_few:
        index, node_id = 'ix_pci_devices_sharing', _devices.c.compute_node_id
    hint = f'FORCE INDEX ({index})'
    free_key = _devices.c.free_key + sa.literal_column('0')
    statement = (
        sa.select(node_id, free_key, -sa.func.count())
        .where(
            _devices.c.shared_group >= 0,
            free_key.in_(sorted(kinds.ordinary | related)),
            exclusion.is_member_held(_devices),
        )
        .group_by(free_key, node_id)
        .with_hint(_devices, hint, 'mysql')
        .with_hint(_devices, hint, 'mariadb')
    )
    if not related:
        return statement
    return statement.where(
        _devices.c.free_key.not_in(sorted(related))
        | exclusion.no_relative_held(_devices)
    )


def _by_node(
    connection: sa.Connection,
    statement: sa.Select[Any],
    live: live_hosts.LiveHosts,
) -> dict[int, list[claims.Candidate]]:
    """Read the candidates of hosts, by the host's id.

    :param statement: of ``candidates.select``.
    """
    by_node: dict[int, list[claims.Candidate]] = collections.defaultdict(list)
    for node_id, *row in live.rows(connection, statement):
        by_node[node_id].append(candidates.from_row(*row))
    return by_node


def with_failed_starts(
    connection: sa.Connection,
    key_ids: Collection[int] | None,
    live: live_hosts.LiveHosts,
) -> dict[str, tuple[claims.Supply, claims.Supply]]:
    """Count the free devices of hosts of which some have failed starts.

    There are few of these hosts, so their devices are read.

    :param key_ids: only devices of these pool keys; None means of all.
    :returns: the supply of each host by name, and the same without the
        devices with failed starts.
    """
    is_wanted = (
        _devices.c.free_key.is_not(None)
        if key_ids is None
        else _devices.c.free_key.in_(sorted(key_ids))
    )
    statement = (
        sa.select(_devices.c.compute_node_id)
        .where(_devices.c.failed_starts > 0, is_wanted)
        .distinct()
    )
    ids = set(connection.execute(statement).scalars()) & live.names.keys()
    by_node = _by_node(
        connection,
        candidates.select(is_wanted),
        live_hosts.LiveHosts({i: live.names[i] for i in ids}, are_few=True),
    )
    return {
        live.names[node_id]: (claims.supply_of(free), proven)
        for node_id, free in by_node.items()
        if (proven := claims.proven_supply_of(free)) is not None
    }


def totals(key_ids: Collection[int] | None = None) -> sa.Select[Any]:
    """Count devices by host and pool key, whatever their state.

    Devices that their host refuses are in no pool, unless an instance holds
    them.

    :param key_ids: only devices of these pool keys; None means of all.
    """
    is_free = _devices.c.status == fields.DeviceStatus.AVAILABLE
    statement = (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.pool_key_id,
            sa.func.count(),
        )
        .where(~(is_free & device_states.is_refused()))
        .group_by(_devices.c.compute_node_id, _devices.c.pool_key_id)
    )
    if key_ids is None:
        return statement
    return statement.where(_devices.c.pool_key_id.in_(sorted(key_ids)))


def states(key_ids: Collection[int]) -> sa.Select[Any]:
    """Count devices of some pool keys by host and state.

    An available device may be excluded by another function of its card, or
    withdrawn.
    """
    # Grouped by the column's name: PostgreSQL does not recognize the same
    # expression with other bound parameters.
    name = 'device_state'
    return (
        sa.select(
            _devices.c.compute_node_id,
            device_states.state().label(name),
            sa.func.count(),
        )
        .where(_devices.c.pool_key_id.in_(sorted(key_ids)))
        .group_by(_devices.c.compute_node_id, sa.literal_column(name))
    )
