# SPDX-License-Identifier: Apache-2.0
"""Lists of pools, and the hosts that can serve requests from them."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Self

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pools import counting


class PciDevicePoolList(Sequence[objects.PciDevicePool]):
    """The pools of some hosts at one moment."""

    def __init__(
        self,
        pools: Sequence[objects.PciDevicePool],
        supplies: Mapping[str, claims.Supply],
        catalog: pool_catalog.Catalog,
    ) -> None:
        self._pools = pools
        self._supplies = supplies
        self._catalog = catalog

    @classmethod
    def get_all(
        cls,
        db: database.Reader,
        limits: policy.Limits,
    ) -> Self:
        """Return the pools of all hosts that are up."""
        return cls.get_by_hosts(db, limits, None)

    @classmethod
    @database.retried
    def get_by_hosts(
        cls,
        db: database.Reader,
        limits: policy.Limits,
        hosts: Collection[str] | None,
    ) -> Self:
        """Return the pools of the named hosts, if they are up.

        :param hosts: names of hosts; None means all.
        """
        catalog = db.catalog
        with db.snapshot() as connection:
            catalog.refresh(connection)
            live = live_hosts.find(connection, limits.of_agents, hosts)
            rows = list(live.rows(connection, counting.totals()))
            supplies = counting.supply_of(connection, catalog, None, live)
        pools = [
            make(live.names[node_id], node_id, catalog[key_id], total)
            for node_id, key_id, total in rows
        ]
        for pool, (_, key_id, _) in zip(pools, rows, strict=True):
            if pool.host in supplies:
                pool.count = supplies[pool.host].total({key_id})
        pools.sort(key=lambda pool: str(pool.host))
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


def make(
    host: str,
    node_id: int,
    key: objects.PoolKey,
    total: int,
) -> objects.PciDevicePool:
    """Return a pool whose free devices are not counted yet."""
    return objects.PciDevicePool(
        compute_node_id=node_id,
        host=host,
        extra_info=dict(key.extra_info),
        count=0,
        total=total,
        **{name: getattr(key, name) for name in objects.POOL_FIELDS},
    )
