# SPDX-License-Identifier: Apache-2.0
"""Pools: ``GROUP BY`` over ``pci_devices``, computed when asked.

Nothing about a pool is stored, so nothing about it can be out of date. The
index ``ix_pci_devices_free`` makes the query about as cheap as reading a
counter would be.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Self

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import exclusion
from pci_passthrough.store import hosts as hosts_mod
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys

_devices = models.pci_devices
_nodes = models.compute_nodes

#: With more candidate hosts than this, all hosts are read and the others
#: left out here. MariaDB plans long IN lists badly.
_MOST_HOSTS_IN_QUERY = 500


class PciDevicePoolList(Sequence[objects.PciDevicePool]):
    """Pools of some hosts at one moment."""

    def __init__(
        self,
        pools: Sequence[objects.PciDevicePool],
        supplies: Mapping[str, claims.Supply],
        catalog: pool_keys.Catalog,
    ) -> None:
        self._pools = pools
        self._supplies = supplies
        self._catalog = catalog

    @classmethod
    def get_all(
        cls,
        db: database.Database,
        catalog: pool_keys.Catalog,
        host_timeout: float,
    ) -> Self:
        """Return the pools of all hosts that are up."""
        return cls.get_by_hosts(db, catalog, host_timeout, None)

    @classmethod
    def get_by_hosts(
        cls,
        db: database.Database,
        catalog: pool_keys.Catalog,
        host_timeout: float,
        hosts: Collection[str] | None,
    ) -> Self:
        """Return the pools of those of the named hosts that are up.

        :param hosts: names; None: all.
        """
        with db.read() as connection:
            catalog.refresh(connection)
            totals = list(_totals(connection, host_timeout, hosts))
            supplies = supply(connection, catalog, None, host_timeout, hosts)
        pools = [
            objects.PciDevicePool(
                compute_node_id=node_id,
                host=host,
                extra_info=dict(catalog[key_id].extra_info),
                count=supplies[host].total({key_id})
                if host in supplies
                else 0,
                total=total,
                **{
                    name: getattr(catalog[key_id], name)
                    for name in objects.POOL_FIELDS
                },
            )
            for node_id, host, key_id, total in totals
        ]
        return cls(pools, supplies, catalog)

    def supports_requests(
        self,
        demands: Sequence[claims.Demand],
        numa: objects.NumaAffinity | None = None,
    ) -> list[str]:
        """Return the hosts that can serve all demands of an instance."""
        return [
            host
            for host, supply in self._supplies.items()
            if claims.decide(supply, demands, self._catalog.__getitem__, numa)
        ]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._pools[index]

    def __len__(self) -> int:
        return len(self._pools)


def supply(
    connection: sa.Connection,
    catalog: pool_keys.Catalog,
    key_ids: Collection[int] | None,
    host_timeout: float,
    hosts: Collection[str] | None = None,
) -> dict[str, claims.Supply]:
    """Return what each host that is up can give away now: one query.

    :param key_ids: only devices of these pool keys; None: of all.
    :param hosts: names of candidate hosts; None: all.
    :returns: host name to supply; hosts without any are left out.
    """
    kinds = {catalog[key_id].dev_type for key_id in key_ids or ()}
    sriov = kinds - {fields.DevType.STANDARD}
    if key_ids is None or (fields.DevType.SRIOV_PF in kinds and len(sriov) > 1):
        return _supply_with_families(connection, key_ids, host_timeout, hosts)
    free: dict[str, dict[int, int]] = collections.defaultdict(dict)
    pools = _free_pools(key_ids, excluding=bool(sriov))
    pools = pools.where(*_on_hosts(_devices, hosts)).subquery()
    for host, key_id, count in _of_live_hosts(
        connection,
        pools,
        [pools.c.free_key, pools.c.count],
        host_timeout,
        hosts,
    ):
        free[host][key_id] = count
    return {host: claims.Supply(counts) for host, counts in free.items()}


def candidates(
    connection: sa.Connection, node_id: int, key_ids: Collection[int]
) -> list[claims.Candidate]:
    """Return the devices of one host that can be given away now."""
    statement = _candidate_rows(key_ids).where(
        _devices.c.compute_node_id == node_id
    )
    return [
        _candidate(*row[:-1]) for row in connection.execute(statement).tuples()
    ]


def totals_by_state(
    connection: sa.Connection, node_id: int
) -> list[claims.PoolTotal]:
    """Count a host's devices by pool key and state, to explain a refusal."""
    state = sa.case(
        (_devices.c.presence != fields.Presence.OFFERED, _devices.c.presence),
        (
            (_devices.c.disabled_reason.is_not(None))
            & (_devices.c.status == fields.DeviceStatus.AVAILABLE),
            'disabled',
        ),
        (
            (_devices.c.status == fields.DeviceStatus.AVAILABLE)
            & ~exclusion.not_excluded(_devices),
            'excluded',
        ),
        else_=_devices.c.status,
    )
    statement = (
        sa.select(_devices.c.pool_key_id, state, sa.func.count())
        .where(_devices.c.compute_node_id == node_id)
        .group_by(_devices.c.pool_key_id, state)
    )
    states: dict[int, dict[str, int]] = collections.defaultdict(dict)
    for key_id, name, count in connection.execute(statement).tuples():
        states[key_id]['free' if name == 'available' else name] = count
    return [claims.PoolTotal(k, counts) for k, counts in states.items()]


def _free_pools(
    key_ids: Collection[int] | None, *, excluding: bool
) -> sa.Select[tuple[int, int, int]]:
    statement = (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.free_key,
            sa.func.count().label('count'),
        )
        .where(_wanted(key_ids))
        .group_by(_devices.c.compute_node_id, _devices.c.free_key)
        .with_hint(_devices, 'FORCE INDEX (ix_pci_devices_free)', 'mysql')
        .with_hint(_devices, 'FORCE INDEX (ix_pci_devices_free)', 'mariadb')
        .with_hint(_devices, 'INDEXED BY ix_pci_devices_free', 'sqlite')
    )
    if excluding:
        statement = statement.where(exclusion.not_excluded(_devices))
    return statement


def _supply_with_families(
    connection: sa.Connection,
    key_ids: Collection[int] | None,
    host_timeout: float,
    hosts: Collection[str] | None,
) -> dict[str, claims.Supply]:
    """As ``supply``, where physical and virtual functions compete.

    Counts would not tell which virtual functions go with which physical
    function, so devices are read.
    """
    rows = _candidate_rows(key_ids)
    rows = rows.where(*_on_hosts(_devices, hosts)).subquery()
    by_host: dict[str, list[claims.Candidate]] = collections.defaultdict(list)
    columns = [column for column in rows.c if column.name != 'compute_node_id']
    for host, *row in _of_live_hosts(
        connection, rows, columns, host_timeout, hosts
    ):
        by_host[host].append(_candidate(*row))
    return {
        host: claims.supply_of(found) for host, found in by_host.items()
    }


def _candidate_rows(
    key_ids: Collection[int] | None,
) -> sa.Select[tuple[int, int, str, str, str, list[str], int]]:
    return sa.select(
        _devices.c.id,
        _devices.c.free_key,
        _devices.c.address,
        _devices.c.parent_addr,
        _devices.c.dev_type,
        _devices.c.capabilities,
        _devices.c.compute_node_id,
    ).where(_wanted(key_ids), exclusion.not_excluded(_devices))


def _candidate(
    device_id: int,
    key_id: int,
    address: str,
    parent_addr: str | None,
    dev_type: str,
    capabilities: list[str],
) -> claims.Candidate:
    is_pf = dev_type == fields.DevType.SRIOV_PF
    return claims.Candidate(
        device_id,
        key_id,
        address,
        address if is_pf else parent_addr,
        is_pf,
        len(capabilities),
    )


def _wanted(key_ids: Collection[int] | None) -> sa.ColumnElement[bool]:
    if key_ids is None:
        return _devices.c.free_key.is_not(None)
    return _devices.c.free_key.in_(sorted(key_ids))


def _on_hosts(
    devices: sa.Table, hosts: Collection[str] | None
) -> list[sa.ColumnElement[bool]]:
    if hosts is None or len(hosts) > _MOST_HOSTS_IN_QUERY:
        return []
    ids = sa.select(_nodes.c.id).where(_nodes.c.host.in_(sorted(hosts)))
    return [devices.c.compute_node_id.in_(ids)]


def _of_live_hosts(
    connection: sa.Connection,
    rows: sa.Subquery,
    columns: Sequence[sa.ColumnElement[object]],
    host_timeout: float,
    hosts: Collection[str] | None,
) -> Iterator[sa.Row[tuple[object, ...]]]:
    """Join host names to rows; leave out hosts that are down or unasked."""
    statement = (
        sa.select(_nodes.c.host, *columns)
        .join(rows, rows.c.compute_node_id == _nodes.c.id)
        .where(_nodes.c.last_report_at >= hosts_mod.cutoff(host_timeout))
    )
    for row in connection.execute(statement):
        if hosts is None or row[0] in hosts:
            yield row


def _totals(
    connection: sa.Connection,
    host_timeout: float,
    hosts: Collection[str] | None,
) -> Iterator[sa.Row[tuple[int, str, int, int]]]:
    statement = (
        sa.select(
            _nodes.c.id,
            _nodes.c.host,
            _devices.c.pool_key_id,
            sa.func.count(),
        )
        .join(_devices, _devices.c.compute_node_id == _nodes.c.id)
        .where(_nodes.c.last_report_at >= hosts_mod.cutoff(host_timeout))
        .where(*_on_hosts(_devices, hosts))
        .group_by(_nodes.c.id, _nodes.c.host, _devices.c.pool_key_id)
        .order_by(_nodes.c.host, _devices.c.pool_key_id)
    )
    for row in connection.execute(statement):
        if hosts is None or row[1] in hosts:
            yield row
