# SPDX-License-Identifier: Apache-2.0
"""Explaining which hosts can serve requests, and why others cannot."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting
from pci_passthrough.store.pools import states
from pci_passthrough.store.views import near_misses

#: The request id of a question about a PCI flavor, which has no request.
_NO_REQUEST = ''


@database.retried
def refusals(
    db: database.Reader,
    limits: policy.Limits,
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None = None,
) -> list[objects.RefusalReason]:
    """Return the first condition that fails on each host that is up.

    Hosts that can serve the requests are left out.
    """
    catalog = db.catalog
    with db.snapshot() as connection:
        catalog.refresh(connection)
        live = live_hosts.find(connection, limits.of_agents, None)
        key_ids = _key_ids(demands)
        supplies = _supplies(connection, catalog, key_ids, live)
        refusing = _refusing(catalog, live, supplies, lambda _: demands, numa)
        totals = _totals(connection, key_ids, live.only(refusing))
    return [
        reason
        for host in sorted(refusing)
        for reason in claims.explain(
            host,
            demands,
            supplies.get(host, claims.NO_SUPPLY),
            totals.get(host, ()),
            catalog.__getitem__,
            numa,
        )
    ]


def _key_ids(demands: Iterable[claims.Demand]) -> frozenset[int]:
    return frozenset().union(
        *(a.key_ids for demand in demands for a in demand.alternatives)
    )


def _supplies(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    key_ids: Collection[int],
    live: live_hosts.LiveHosts,
) -> dict[str, claims.Supply]:
    """Count free devices as exactly as a claim would."""
    return counting.supply_of(connection, catalog, key_ids, live, exactly=True)


def _refusing(
    catalog: pool_catalog.Catalog,
    live: live_hosts.LiveHosts,
    supplies: Mapping[str, claims.Supply],
    demands_on: Callable[[str], Sequence[claims.Demand]],
    numa: objects.NumaAffinity | None,
) -> set[str]:
    """Return the hosts that cannot serve demands.

    :param demands_on: returns the demands as a host can serve them.
    """
    # Many hosts have equal supplies, so decisions are remembered.
    decided: dict[object, bool] = {}
    refusing = set()
    for host in live.names.values():
        supply = supplies.get(host, claims.NO_SUPPLY)
        demands = tuple(demands_on(host))
        content = demands, tuple(sorted(supply.free.items())), supply.families
        if content not in decided:
            decision = claims.decide(
                supply, demands, catalog.__getitem__, numa
            )
            decided[content] = decision is not None
        if not decided[content]:
            refusing.add(host)
    return refusing


def _totals(
    connection: sa.Connection,
    key_ids: Collection[int],
    live: live_hosts.LiveHosts,
) -> dict[str, list[claims.PoolTotal]]:
    by_node = states.of_hosts(connection, key_ids, live)
    return {live.names[node_id]: totals for node_id, totals in by_node.items()}


@database.retried
def explain(
    db: database.Reader,
    limits: policy.Limits,
    flavor: objects.PciFlavor,
    count: int = 1,
    hosts: Collection[str] | None = None,
    with_near_misses: bool = True,
    nic: objects.RequestedNic | None = None,
    aggregates: claims.HostAggregates | None = None,
) -> claims.Explanation:
    """Explain for each host whether it can serve a request for a PCI flavor.

    :param limits: timeouts after which silent hosts are down.
    :param flavor: the PCI flavor, which may be disabled.
    :param count: devices of the request, at least one.
    :param hosts: names of hosts; None means all.
    :param with_near_misses: list near misses of hosts that cannot serve it.
    :param nic: the NIC that each device must serve, with its vnic_type
        decided; None if they are not for a NIC.
    :param aggregates: Nova's host aggregates; needed only if the PCI flavor is
        restricted to some.
    """
    catalog = db.catalog
    with db.snapshot() as connection:
        catalog.refresh(connection)
        alternative = resolving.alternative_of(catalog, flavor, nic)
        demand = claims.Demand(_NO_REQUEST, count, (alternative,))

        def demands_on(host: str) -> Sequence[claims.Demand]:
            if aggregates is None:
                return [demand]
            return claims.on_host([demand], host, aggregates)

        key_ids = alternative.key_ids
        live = live_hosts.find_with_absent(connection, limits, hosts)
        supplies = _supplies(connection, catalog, key_ids, live)
        refusing = _refusing(catalog, live, supplies, demands_on, None)
        others = live.only(refusing)
        totals = _totals(connection, key_ids, others)
        misses: dict[str, list[claims.NearMiss]] = {}
        if with_near_misses:
            misses = near_misses.find(connection, catalog, others, flavor, nic)
    answers = [
        claims.HostAnswer.serving(host, demand, supplies[host])
        if host not in refusing
        else claims.HostAnswer.refusing(
            host,
            demands_on(host)[0],
            supplies.get(host, claims.NO_SUPPLY),
            totals.get(host, ()),
            catalog.__getitem__,
            misses.get(host, ()),
        )
        for host in live.names.values()
    ]
    for host, condition in live.absent.items():
        answers.append(claims.HostAnswer.absent(host, demand, condition))
    answers.sort(key=lambda answer: answer.host)
    return claims.Explanation(flavor, count, tuple(answers))
