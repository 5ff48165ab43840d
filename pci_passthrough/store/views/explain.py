# SPDX-License-Identifier: Apache-2.0
"""Why no host serves a set of requests, or which hosts serve one."""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting
from pci_passthrough.store.pools import states

#: Most near misses that are told of a host.
MOST_NEAR_MISSES = 10

#: The words for a request of which only one PCI flavor is known.
_NO_REQUEST = ''


@database.retried
def refusals(
    db: database.Reader,
    limits: policy.Limits,
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None = None,
) -> list[objects.RefusalReason]:
    """Return the first condition that fails on each host that is up.

    Hosts that could serve the requests are left out.
    """
    catalog = db.catalog
    with db.snapshot() as connection:
        catalog.refresh(connection)
        live = live_hosts.find(connection, limits.of_agents, None)
        key_ids = _key_ids(demands)
        supplies = _supplies(connection, catalog, key_ids, live)
        refusing = _refusing(catalog, live, supplies, demands, numa)
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
    """Return what hosts can give away, as exactly as a claim would see it."""
    return counting.supply_of(connection, catalog, key_ids, live, exactly=True)


def _refusing(
    catalog: pool_catalog.Catalog,
    live: live_hosts.LiveHosts,
    supplies: Mapping[str, claims.Supply],
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None,
) -> set[str]:
    """Return the hosts that cannot serve demands."""
    # Hosts are much alike: most are decided on by looking them up.
    known: dict[object, bool] = {}
    refusing = set()
    for host in live.names.values():
        supply = supplies.get(host, claims.NO_SUPPLY)
        content = tuple(sorted(supply.free.items())), supply.families
        if content not in known:
            decision = claims.decide(
                supply, demands, catalog.__getitem__, numa
            )
            known[content] = decision is not None
        if not known[content]:
            refusing.add(host)
    return refusing


def _totals(
    connection: sa.Connection,
    key_ids: Collection[int],
    live: live_hosts.LiveHosts,
) -> dict[str, list[claims.PoolTotal]]:
    found = states.of_hosts(connection, key_ids, live)
    return {live.names[node_id]: totals for node_id, totals in found.items()}


@database.retried
def explain(
    db: database.Reader,
    limits: policy.Limits,
    flavor: objects.PciFlavor,
    count: int = 1,
    hosts: Collection[str] | None = None,
    near_misses: bool = True,
    nic: objects.RequestedNic | None = None,
) -> claims.Explanation:
    """Say of each host whether it serves a request for one PCI flavor.

    Hosts that are down are told, too. Whether the PCI flavor is disabled
    does not matter here.

    :param limits: which hosts are up.
    :param count: devices of the request, at least one.
    :param hosts: names; None: all hosts.
    :param near_misses: also what hosts that refuse have that would nearly do.
    :param nic: what each device has to serve, its vnic_type settled; None:
        it is for no NIC.
    """
    catalog = db.catalog
    with db.snapshot() as connection:
        catalog.refresh(connection)
        alternative = resolving.alternative_of(catalog, flavor, nic)
        demand = claims.Demand(_NO_REQUEST, count, (alternative,))
        key_ids = _key_ids([demand])
        live = (
            live_hosts.find_all(connection, limits)
            if hosts is None
            else live_hosts.find(connection, limits, hosts)
        )
        supplies = _supplies(connection, catalog, key_ids, live)
        refusing = _refusing(catalog, live, supplies, [demand], None)
        totals = _totals(connection, key_ids, live.only(refusing))
        nearly = (
            _near_misses(connection, catalog, live.only(refusing), flavor, nic)
            if near_misses
            else {}
        )
    answers = [
        claims.HostAnswer.refusing(
            host,
            demand,
            supplies.get(host, claims.NO_SUPPLY),
            totals.get(host, ()),
            catalog.__getitem__,
            nearly.get(host, ()),
        )
        if host in refusing
        else claims.HostAnswer.serving(host, demand, supplies[host])
        for host in live.names.values()
    ]
    answers += [
        claims.HostAnswer.absent(host, demand, condition)
        for host, condition in live.absent.items()
    ]
    answers.sort(key=lambda answer: answer.host)
    return claims.Explanation(flavor, count, tuple(answers))


def _near_misses(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    live: live_hosts.LiveHosts,
    flavor: objects.PciFlavor,
    nic: objects.RequestedNic | None,
) -> dict[str, list[claims.NearMiss]]:
    """Return what hosts have that would nearly do."""
    expression = pci_flavor_spec.MatchExpression.parse(flavor.match)
    matched = catalog.matching(expression)
    misses = {
        key_id: found
        for key_id in catalog.ids()
        if (
            found := _misses(
                expression, catalog[key_id], key_id in matched, nic
            )
        )
    }
    if not misses:
        return {}
    by_host: dict[str, list[tuple[int, int]]] = collections.defaultdict(list)
    for node_id, key_id, devices in live.rows(
        connection, counting.totals(misses)
    ):
        by_host[live.names[node_id]].append((key_id, devices))
    return {
        host: _nearest(catalog, misses, there)
        for host, there in by_host.items()
    }


def _misses(
    expression: pci_flavor_spec.MatchExpression,
    key: objects.PoolKey,
    matches: bool,
    nic: objects.RequestedNic | None,
) -> Sequence[matching.Miss]:
    """Return by what one condition a pool fails, the NIC's included."""
    unmet = (
        [] if nic is None else list(matching.unmet_nic_conditions(key, nic))
    )
    if matches:
        return unmet if len(unmet) == 1 else []
    # Both may want the same: a dev_type, most often.
    return [
        miss
        for miss in matching.near_misses(expression, key)
        if all(one.key == miss.key for one in unmet)
    ]


def _nearest(
    catalog: pool_catalog.Catalog,
    misses: Mapping[int, Sequence[matching.Miss]],
    there: Sequence[tuple[int, int]],
) -> list[claims.NearMiss]:
    found = [
        (miss, key_id, devices)
        for key_id, devices in there
        for miss in misses[key_id]
    ]
    found.sort(
        key=lambda one: (-one[0].fulfilled, one[0].actual is None, one[1])
    )
    return [
        claims.NearMiss(
            devices,
            claims.pool_in_words(catalog[key_id]),
            miss.key,
            miss.wanted,
            miss.actual,
        )
        for miss, key_id, devices in found[:MOST_NEAR_MISSES]
    ]
