# SPDX-License-Identifier: Apache-2.0
"""Effects of creating, changing or deleting a PCI flavor: a dry run."""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import aggregate_metadata
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import models
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import holders
from pci_passthrough.store.views import pool_pages
from pci_passthrough.store.views import whole_cards

_nodes = models.compute_nodes
_devices = models.pci_devices

#: A host's name, and the id of a pool key.
_Place = tuple[str, int]

#: Pools that are listed as gained, and as lost.
MOST_POOLS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """The effect that a change of a PCI flavor would have.

    Devices are counted on all hosts and in every state.

    :ivar devices_before: devices that the PCI flavor matches now.
    :ivar devices_after: devices that it would match.
    :ivar gained: devices that it would match and does not match now.
    :ivar lost: devices that it matches now and would not match.
    :ivar pools_gained: the pools of the gained devices, sorted by host;
        ``MOST_POOLS`` at most.
    :ivar pools_lost: the same of the lost devices.
    :ivar stranded: held devices that would not be matched any more; for a
        deletion, all devices that are held by the PCI flavor.
    :ivar outside: devices that are held by it on hosts outside of the host
        aggregates that it would be restricted to.
    :ivar refusal: the reason why the change is refused, or needs force; None
        if it is accepted.
    :ivar whole_and_slices: the cards that it would match as a whole and in
        slices; None if there are none.
    """

    devices_before: int
    devices_after: int
    gained: int
    lost: int
    pools_gained: tuple[objects.PciDevicePool, ...]
    pools_lost: tuple[objects.PciDevicePool, ...]
    stranded: holders.Holders
    outside: int
    refusal: str | None
    whole_and_slices: whole_cards.WholeAndSlices | None


@database.retried
def of_change(
    db: database.Reader,
    limits: policy.Limits,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
    aggregates: claims.HostAggregates | None = None,
) -> Effect:
    """Return the effect that a change would have now.

    :param limits: no device of a host whose agent is down counts as free.
    :param before: the PCI flavor as it is; None means that it is created.
    :param after: the PCI flavor as ``validation`` returned it; None means
        that it is deleted.
    :param aggregates: Nova's host aggregates; needed only if one of both is
        restricted to some.
    """
    with db.snapshot() as connection:
        catalog = db.catalog
        catalog.refresh(connection)
        live = live_hosts.find(connection, limits.of_agents, None)
        counts = _counts(connection)
        old, new = (
            _places(catalog, counts, flavor, aggregates)
            for flavor in (before, after)
        )
        return Effect(
            sum(counts[place] for place in old),
            sum(counts[place] for place in new),
            sum(counts[place] for place in new - old),
            sum(counts[place] for place in old - new),
            _pools(connection, catalog, live, new - old),
            _pools(connection, catalog, live, old - new),
            _stranded(connection, before, after),
            _outside(connection, before, after, aggregates),
            _refusal(connection, before, after),
            whole_cards.of_keys(connection, catalog, _keys(catalog, after)),
        )


def _keys(
    catalog: pool_catalog.Catalog, flavor: objects.PciFlavor | None
) -> frozenset[int]:
    return frozenset() if flavor is None else catalog.of_flavor(flavor)


def _counts(connection: sa.Connection) -> dict[_Place, int]:
    columns = (_nodes.c.host, _devices.c.pool_key_id)
    rows = connection.execute(
        sa.select(*columns, sa.func.count())
        .join_from(_devices, _nodes, _nodes.c.id == _devices.c.compute_node_id)
        .group_by(*columns)
    )
    return {(host, key_id): count for host, key_id, count in rows}


def _places(
    catalog: pool_catalog.Catalog,
    known: Iterable[_Place],
    flavor: objects.PciFlavor | None,
    aggregates: claims.HostAggregates | None,
) -> set[_Place]:
    """Return the pools of hosts that a PCI flavor means."""
    key_ids = _keys(catalog, flavor)
    places = {place for place in known if place[1] in key_ids}
    if flavor is None or aggregates is None:
        return places
    conditions = aggregate_metadata.parse(flavor.aggregate_metadata)
    outside = {
        host
        for host in {host for host, _ in places}
        if aggregates.outside(host, conditions)
    }
    return {place for place in places if place[0] not in outside}


def _outside(
    connection: sa.Connection,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
    aggregates: claims.HostAggregates | None,
) -> int:
    """Count the devices that are held by a PCI flavor outside of its hosts."""
    if before is None or after is None or aggregates is None:
        return 0
    conditions = aggregate_metadata.parse(after.aggregate_metadata)
    rows = connection.execute(
        sa.select(_nodes.c.host, sa.func.count())
        .join_from(_devices, _nodes, _nodes.c.id == _devices.c.compute_node_id)
        .where(_devices.c.pci_flavor_uuid == before.uuid)
        .group_by(_nodes.c.host)
    )
    return sum(
        count for host, count in rows if aggregates.outside(host, conditions)
    )


def _pools(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    live: live_hosts.LiveHosts,
    places: Collection[_Place],
) -> tuple[objects.PciDevicePool, ...]:
    if not places:
        return ()
    first = sorted(places)[:MOST_POOLS]
    pools = pool_pages.of_keys(
        connection,
        catalog,
        {key_id for _, key_id in first},
        live_hosts.known(connection).only({host for host, _ in first}),
        live,
    )
    wanted = set(first)
    return tuple(
        named.pool
        for named in pools
        if (named.pool.host, named.key_id) in wanted
    )


def _stranded(
    connection: sa.Connection,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
) -> holders.Holders:
    if before is None:
        return holders.Holders()
    if after is None:
        return holders.count(connection, before.uuid)
    return holders.count_stranded(
        connection, before.uuid, before.match, after.match
    )


def _refusal(
    connection: sa.Connection,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
) -> str | None:
    try:
        editing.check_change(connection, before, after)
    except exception.Conflict as error:
        return error.text
    return None
