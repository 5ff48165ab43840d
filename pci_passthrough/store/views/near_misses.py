# SPDX-License-Identifier: Apache-2.0
"""Near misses: pools that fail only one condition of a PCI flavor."""

import collections
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.store import live_hosts
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pools import counting

#: Near misses that are listed of a host.
MOST_OF_A_HOST = 10


def find(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    live: live_hosts.LiveHosts,
    flavor: objects.PciFlavor,
    nic: objects.RequestedNic | None,
) -> dict[str, list[claims.NearMiss]]:
    """Return the devices of hosts that nearly fit a PCI flavor.

    :param live: the hosts.
    :param nic: the NIC that each device must serve, with its vnic_type
        decided; None if they are not for a NIC.
    :returns: near misses by host name, the nearest first.
    """
    expression = pci_flavor_spec.MatchExpression.parse(flavor.match)
    matched = catalog.matching(expression)
    misses = {
        key_id: _misses(expression, catalog[key_id], key_id in matched, nic)
        for key_id in catalog.ids()
    }
    misses = {key_id: of_key for key_id, of_key in misses.items() if of_key}
    if not misses:
        return {}
    by_host: dict[str, list[tuple[int, int]]] = collections.defaultdict(list)
    for node_id, key_id, devices in live.rows(
        connection, counting.totals(misses)
    ):
        by_host[live.names[node_id]].append((key_id, devices))
    return {
        host: _nearest(catalog, misses, pools)
        for host, pools in by_host.items()
    }


def _misses(
    expression: pci_flavor_spec.MatchExpression,
    key: objects.PoolKey,
    matches: bool,
    nic: objects.RequestedNic | None,
) -> Sequence[matching.Miss]:
    """Return the condition that a pool fails, if it fails only one.

    The conditions of the NIC count like those of the PCI flavor. Several
    terms of the match expression may each fail by another condition.
    """
    unmet = (
        [] if nic is None else list(matching.unmet_nic_conditions(key, nic))
    )
    if matches:
        return unmet if len(unmet) == 1 else []
    # NIC and PCI flavor may have the same condition, most often a dev_type.
    return [
        miss
        for miss in matching.near_misses(expression, key)
        if all(condition.key == miss.key for condition in unmet)
    ]


def _nearest(
    catalog: pool_catalog.Catalog,
    misses: Mapping[int, Sequence[matching.Miss]],
    pools: Sequence[tuple[int, int]],
) -> list[claims.NearMiss]:
    candidates = [
        (-miss.fulfilled, miss.actual is None, key_id, devices, miss)
        for key_id, devices in pools
        for miss in misses[key_id]
    ]
    candidates.sort(key=lambda candidate: candidate[:3])
    return [
        claims.NearMiss(
            devices,
            claims.pool_in_words(catalog[key_id]),
            miss.key,
            miss.wanted,
            miss.actual,
        )
        for _, _, key_id, devices, miss in candidates[:MOST_OF_A_HOST]
    ]
