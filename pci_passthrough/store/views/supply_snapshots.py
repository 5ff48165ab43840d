# SPDX-License-Identifier: Apache-2.0
"""What candidate hosts could give an instance: the scheduler's question."""

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
    """Count what serves the requests on all hosts, by one query.

    :param limits: which hosts are up.
    :param requests: without any, everything that is free is counted.
    :param hosts: names of candidate hosts; None: all.
    :param project_id: on whose behalf; None: the operator's.
    :param instance_uuid: whose requests they are, if that is known.
    :raises: PciFlavorNotFound, InvalidRequest
    """
    request_spec.check(requests)
    demands = resolving.demands(db, requests, project_id, instance_uuid)
    key_ids = frozenset().union(
        *(a.key_ids for demand in demands for a in demand.alternatives)
    )
    with db.read() as connection:
        live = live_hosts.find(connection, limits, hosts)
        supplies = counting.supply_of(
            connection, db.catalog, key_ids if demands else None, live
        )
    there = _keys_of(supplies.values())
    return claims.SupplySnapshot(
        tuple(_narrowed(demand, there) for demand in demands),
        {key_id: db.catalog[key_id] for key_id in there},
        supplies,
        live.absent,
    )


def _keys_of(supplies: Collection[claims.Supply]) -> frozenset[int]:
    found: set[int] = set()
    for supply in supplies:
        found.update(supply.free)
        for family in supply.families:
            found.add(family.pf)
            found.update(key_id for key_id, _ in family.vfs)
    return frozenset(found)


def _narrowed(demand: claims.Demand, key_ids: frozenset[int]) -> claims.Demand:
    """Leave out pool keys of which nothing is free anywhere."""
    return dataclasses.replace(
        demand,
        alternatives=tuple(
            dataclasses.replace(one, key_ids=one.key_ids & key_ids)
            for one in demand.alternatives
        ),
    )
