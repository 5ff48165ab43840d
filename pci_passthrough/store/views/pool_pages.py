# SPDX-License-Identifier: Apache-2.0
"""Pages of pools, filtered and sorted by host and pool key."""

import bisect
from collections.abc import Collection
import dataclasses

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pools import counting
from pci_passthrough.store.pools import pool_list
from pci_passthrough.store.views import device_pages


@dataclasses.dataclass(frozen=True, slots=True)
class PoolFilter:
    """Filters for pools. A filter that is None excludes none.

    :ivar hosts: names of hosts.
    :ivar pci_flavor: name or UUID of a PCI flavor that matches the pool.
    """

    hosts: tuple[str, ...] | None = None
    pci_flavor: str | None = None
    vendor_id: str | None = None
    product_id: str | None = None
    dev_type: str | None = None
    numa_node: int | None = None
    resource_type: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """A pool with an id.

    :ivar key_id: id of the pool key.
    """

    key_id: int
    pool: objects.PciDevicePool

    @property
    def id(self) -> str:
        """The pool's id: ``<host>/<pool key id>``."""
        return f'{self.pool.host}/{self.key_id}'


@database.retried
def find(
    db: database.Reader,
    limits: policy.Limits,
    filters: PoolFilter,
    marker: str | None = None,
    limit: int | None = None,
) -> list[Pool]:
    """Return the pools of hosts that are up, sorted by host and pool key.

    :param marker: id of the last pool of the page before, which need not
        exist any more; None means the first page.
    :param limit: how many pools at most; None means all.
    :raises: PciFlavorNotFound; Invalid if the marker is not the id of a pool.
    """
    after = None if marker is None else _place(marker)
    wanted = {
        name: value
        for name in device_pages.FILTERED
        if (value := getattr(filters, name)) is not None
    }
    catalog = db.catalog
    with db.snapshot() as connection:
        key_ids = device_pages.fitting_keys(
            connection, catalog, filters.pci_flavor, wanted
        )
        live = live_hosts.find(connection, limits, filters.hosts)
        return of_keys(connection, catalog, key_ids, live, live, after, limit)


def _place(marker: str) -> tuple[str, int]:
    """Return host and pool key of a pool's id.

    :raises: Invalid
    """
    host, _, key_id = marker.rpartition('/')
    if not host or not (key_id.isascii() and key_id.isdigit()):
        raise exception.Invalid(
            f'{marker!r} is not the id of a pool, such as compute-1/7'
        )
    return host, int(key_id[:_LONGEST_ID])


#: Digits of a pool key's id that are read: more than any has.
_LONGEST_ID = 20


def of_keys(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    key_ids: Collection[int],
    wanted: live_hosts.LiveHosts,
    live: live_hosts.LiveHosts,
    after: tuple[str, int] | None = None,
    most: int | None = None,
) -> list[Pool]:
    """Return the pools of some keys, sorted by host and pool key.

    :param wanted: the hosts whose pools are returned.
    :param live: the hosts that are up; no device of another host is free.
    :param after: only pools after this host and pool key.
    :param most: how many pools at most.
    """
    if not key_ids:
        return []
    rows = sorted(
        (wanted.names[node_id], key_id, node_id, total)
        for node_id, key_id, total in wanted.rows(
            connection, counting.totals(key_ids)
        )
    )
    if after is not None:
        rows = rows[bisect.bisect(rows, after, key=lambda row: row[:2]) :]
    rows = rows[:most]
    # Counting free devices takes longest, so only of the hosts on this page.
    free = counting.supply_of(
        connection,
        catalog,
        key_ids,
        live.only({host for host, *_ in rows}),
        exactly=True,
    )
    pools = []
    for host, key_id, node_id, total in rows:
        pool = pool_list.make(host, node_id, catalog[key_id], total)
        if host in free:
            pool.count = free[host].total({key_id})
        pools.append(Pool(key_id, pool))
    return pools
