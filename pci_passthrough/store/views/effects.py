# SPDX-License-Identifier: Apache-2.0
"""Effects of creating, changing or deleting a PCI flavor: a dry run."""

from collections.abc import Collection
import dataclasses

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import models
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import holders
from pci_passthrough.store.views import pool_pages
from pci_passthrough.store.views import whole_cards

_devices = models.pci_devices

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
    refusal: str | None
    whole_and_slices: whole_cards.WholeAndSlices | None


@database.retried
def of_change(
    db: database.Reader,
    limits: policy.Limits,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
) -> Effect:
    """Return the effect that a change would have now.

    :param limits: no device of a host whose agent is down counts as free.
    :param before: the PCI flavor as it is; None means that it is created.
    :param after: the PCI flavor as ``validation`` returned it; None means
        that it is deleted.
    """
    with db.snapshot() as connection:
        catalog = db.catalog
        catalog.refresh(connection)
        old, new = _keys(catalog, before), _keys(catalog, after)
        live = live_hosts.find(connection, limits.of_agents, None)
        counts = _counts(connection)
        return Effect(
            sum(counts.get(key_id, 0) for key_id in old),
            sum(counts.get(key_id, 0) for key_id in new),
            sum(counts.get(key_id, 0) for key_id in new - old),
            sum(counts.get(key_id, 0) for key_id in old - new),
            _pools(connection, catalog, live, new - old),
            _pools(connection, catalog, live, old - new),
            _stranded(connection, before, after),
            _refusal(connection, before, after),
            whole_cards.of_keys(connection, catalog, new),
        )


def _keys(
    catalog: pool_catalog.Catalog, flavor: objects.PciFlavor | None
) -> frozenset[int]:
    return frozenset() if flavor is None else catalog.of_flavor(flavor)


def _counts(connection: sa.Connection) -> dict[int, int]:
    statement = sa.select(_devices.c.pool_key_id, sa.func.count())
    rows = connection.execute(statement.group_by(_devices.c.pool_key_id))
    return dict(rows.all())


def _pools(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    live: live_hosts.LiveHosts,
    key_ids: Collection[int],
) -> tuple[objects.PciDevicePool, ...]:
    if not key_ids:
        return ()
    pools = pool_pages.of_keys(
        connection,
        catalog,
        key_ids,
        live_hosts.known(connection),
        live,
        most=MOST_POOLS,
    )
    return tuple(named.pool for named in pools)


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
