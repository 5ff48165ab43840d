# SPDX-License-Identifier: Apache-2.0
"""Snapshots of candidate hosts' free devices, for Nova's scheduler."""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import policy
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting


@database.retried
def get(
    db: database.Reader,
    limits: policy.Limits,
    requests: Sequence[objects.PciRequest],
    hosts: Collection[str] | None,
    project_id: str | None = None,
    instance_uuid: str | None = None,
) -> claims.SupplySnapshot:
    """Count the free devices of hosts that can serve requests.

    :param limits: timeouts after which silent hosts are down.
    :param requests: without any, all free devices are counted.
    :param hosts: names of candidate hosts; None means all.
    :param project_id: the project that requests; None means the operator.
    :param instance_uuid: the instance that the requests are for, if known.
    :raises: PciFlavorNotFound, InvalidRequest
    """
    request_spec.check(requests)
    demands = resolving.demands(db, requests, project_id, instance_uuid)
    key_ids = frozenset().union(
        *(a.key_ids for demand in demands for a in demand.alternatives)
    )
    wanted = key_ids if demands else None
    with db.read() as connection:
        live = live_hosts.find(connection, limits, hosts)
        supplies = counting.supply_of(connection, db.catalog, wanted, live)
        doubted = counting.with_failed_starts(connection, wanted, live)
    supplies |= {host: supply for host, (supply, _) in doubted.items()}
    free_keys = _keys_of(supplies.values())
    return claims.SupplySnapshot(
        tuple(_narrowed(demand, free_keys) for demand in demands),
        {key_id: db.catalog[key_id] for key_id in free_keys},
        supplies,
        live.absent,
        {host: proven for host, (_, proven) in doubted.items()},
    )


def _keys_of(supplies: Collection[claims.Supply]) -> frozenset[int]:
    key_ids: set[int] = set()
    for supply in supplies:
        key_ids.update(supply.free)
        for family in supply.families:
            key_ids.add(family.pf)
            key_ids.update(key_id for key_id, _ in family.vfs)
    return frozenset(key_ids)


def _narrowed(demand: claims.Demand, key_ids: frozenset[int]) -> claims.Demand:
    """Leave out the pool keys of which no device is free on any host."""
    return dataclasses.replace(
        demand,
        alternatives=tuple(
            dataclasses.replace(
                alternative, key_ids=alternative.key_ids & key_ids
            )
            for alternative in demand.alternatives
        ),
    )
