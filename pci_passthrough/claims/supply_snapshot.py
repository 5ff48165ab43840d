# SPDX-License-Identifier: Apache-2.0
"""The free devices of candidate hosts at one moment, for the scheduler.

One call to a conductor brings a snapshot of all candidate hosts. The calling
process, nova-scheduler or nova-compute, decides on it without further calls.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import json
from typing import Any
from typing import Self
from typing import TypeVar

from pci_passthrough import objects
from pci_passthrough.claims import consumption
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import host_aggregates
from pci_passthrough.claims import refusal as refusal_mod
from pci_passthrough.claims import supply as supply_mod
from pci_passthrough.objects import fields
from pci_passthrough.specs import aggregate_metadata

_R = TypeVar('_R')

#: (NUMA nodes, nodes of their sockets); None means no NUMA topology
_Place = tuple[tuple[int, ...], tuple[int, ...]] | None

#: Keyed by the identities of demands and supplies, and the place
_Cache = dict[tuple[tuple[int, ...], _Place], _R]

_Demands = tuple[decision_mod.Demand, ...]


@dataclasses.dataclass(frozen=True)
class SupplySnapshot:
    """The free devices of hosts, for the requests of one instance.

    Decisions are cached by supply: hosts with equal free devices share one
    supply, and the scheduler repeats its questions.

    :ivar demands: the resolved requests; empty if the snapshot is of
        everything that is free.
    :ivar keys: pool key id to pool key, for all supplies.
    :ivar supplies: host to its supply; hosts with nothing free are left out.
    :ivar absent: requested host that cannot be used at all, to the reason:
        ``host_unknown``, ``host_down`` or ``tracker_down``.
    :ivar proven: host to its supply without the devices with failed starts;
        hosts without such devices are left out.
    :ivar aggregates: the host aggregates; None means that this process does
        not know them, and leaves them to the claim.
    """

    demands: _Demands
    keys: Mapping[int, objects.PoolKey]
    supplies: Mapping[str, supply_mod.Supply]
    absent: Mapping[str, str] = dataclasses.field(default_factory=dict)
    proven: Mapping[str, supply_mod.Supply] = dataclasses.field(
        default_factory=dict
    )
    aggregates: host_aggregates.HostAggregates | None = None
    _restricted: dict[tuple[str, ...], _Demands] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _decisions: _Cache[decision_mod.Decision | None] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _failures: _Cache[list[objects.RefusalReason]] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def decide(
        self, host: str, numa: objects.NumaAffinity | None = None
    ) -> decision_mod.Decision | None:
        """Decide how a host serves all requests; None if it cannot.

        :param numa: the instance's NUMA nodes on the host; see
            ``claims.decide``.
        """
        if host in self.absent:
            return None
        supply = self.supplies.get(host, supply_mod.NO_SUPPLY)
        proven = self.proven.get(host)
        demands = self._demands_on(host)
        return self._cached(
            self._decisions,
            (demands, supply, proven),
            numa,
            lambda: decision_mod.decide_sparing(
                supply, proven, demands, self.keys.__getitem__, numa
            ),
        )

    def _demands_on(self, host: str) -> _Demands:
        """Return the demands without what is restricted to other hosts."""
        if self.aggregates is None or not host_aggregates.have_conditions(
            self.demands
        ):
            return self.demands
        demands = host_aggregates.on_host(self.demands, host, self.aggregates)
        # Hosts for which the same is outside share one decision.
        return self._restricted.setdefault(
            host_aggregates.reasons(demands), demands
        )

    def consume(self, host: str, decision: decision_mod.Decision) -> Self:
        """Return the snapshot of one host without the devices of a decision.

        :param decision: an answer of ``decide`` about the host.
        """
        left = consumption.consume(decision)
        proven = self.proven.get(host)
        if proven is None:
            return dataclasses.replace(self, supplies={host: left}, proven={})
        if decision.supply != proven:
            # Another instance of the same requests cannot do without devices
            # with failed starts, either.
            nothing = supply_mod.NO_SUPPLY
            return dataclasses.replace(
                self, supplies={host: left}, proven={host: nothing}
            )
        same = decision_mod.decide(
            self.supplies[host], _same(decision), self.keys.__getitem__
        )
        of_all = (
            supply_mod.NO_SUPPLY if same is None else consumption.consume(same)
        )
        return dataclasses.replace(
            self, supplies={host: of_all}, proven={host: left}
        )

    def refusal(
        self, host: str, numa: objects.NumaAffinity | None = None
    ) -> str | None:
        """Return the first condition that keeps a host from serving.

        :returns: one of ``objects.fields.RefusalCondition``; None if the
            host can serve.
        """
        if host in self.absent:
            return self.absent[host]
        if self.decide(host, numa) is not None:
            return None
        return str(self._explained(host, numa)[0].condition)

    def reasons(
        self, host: str, numa: objects.NumaAffinity | None = None
    ) -> list[objects.RefusalReason]:
        """Return the reasons why a host cannot serve; empty if it can.

        Held devices are not part of a snapshot, so a condition ``none_free``
        may mean that no device matches.
        """
        if host in self.absent:
            return [
                _absence(host, demand, self.absent[host])
                for demand in self.demands
            ]
        if self.decide(host, numa) is not None:
            return []
        return [
            reason.replace(host=host) for reason in self._explained(host, numa)
        ]

    def refused(
        self,
        hosts: Iterable[str],
        numa: objects.NumaAffinity | None = None,
    ) -> dict[refusal_mod.FailedCondition, list[str]]:
        """Return the hosts that cannot serve, by failed condition.

        :returns: several conditions may have failed on a host.
            ``claims.summarize_hosts`` makes one line of the result.
        """
        refused: dict[refusal_mod.FailedCondition, list[str]] = {}
        for host in hosts:
            if host in self.absent:
                reasons = self.reasons(host)
            elif self.decide(host, numa) is None:
                # Not ``reasons``, which copies each of them for the host.
                reasons = self._explained(host, numa)
            else:
                continue
            for failed in set(map(refusal_mod.FailedCondition.of, reasons)):
                refused.setdefault(failed, []).append(host)
        return refused

    def _explained(
        self,
        host: str,
        numa: objects.NumaAffinity | None,
    ) -> list[objects.RefusalReason]:
        """Return the reasons why hosts like this one cannot serve."""
        supply = self.supplies.get(host, supply_mod.NO_SUPPLY)
        demands = self._demands_on(host)
        return self._cached(
            self._failures,
            (demands, supply),
            numa,
            lambda: self._explain(demands, supply, numa),
        )

    def _explain(
        self,
        demands: _Demands,
        supply: supply_mod.Supply,
        numa: objects.NumaAffinity | None,
    ) -> list[objects.RefusalReason]:
        totals = [
            refusal_mod.PoolTotal(key_id, {'free': supply.total({key_id})})
            for key_id in sorted({key_id for key_id, _ in supply.pools()})
        ]
        reasons = refusal_mod.explain(
            '', demands, supply, totals, self.keys.__getitem__, numa
        )
        for reason in reasons:
            if reason.condition == fields.RefusalCondition.NO_MATCH:
                reason.condition = fields.RefusalCondition.NONE_FREE
        return reasons

    def _cached(
        self,
        cache: _Cache[_R],
        facts: tuple[_Demands | supply_mod.Supply | None, ...],
        numa: objects.NumaAffinity | None,
        compute: Callable[[], _R],
    ) -> _R:
        # By identity: these facts live as long as this snapshot.
        index = tuple(map(id, facts)), _place(numa)
        if index not in cache:
            cache[index] = compute()
        return cache[index]

    def to_wire(self) -> objects.SchedulingOffer:
        """Return the versioned object that is sent over RPC."""
        numbers: dict[Any, int] = {}
        rows: list[Any] = []

        def number(supply: supply_mod.Supply) -> int:
            content = tuple(sorted(supply.free.items())), supply.families
            if content not in numbers:
                numbers[content] = len(rows)
                rows.append(_supply_row(supply))
            return numbers[content]

        return objects.SchedulingOffer(
            demands=[_demand_row(demand) for demand in self.demands],
            keys=[[i, _key_row(key)] for i, key in sorted(self.keys.items())],
            hosts={h: number(supply) for h, supply in self.supplies.items()},
            proven={h: number(supply) for h, supply in self.proven.items()},
            supplies=rows,
            absent=dict(self.absent),
            aggregate_metadata={
                a.pci_flavor_uuid: {
                    condition.key: json.loads(condition.text)
                    for condition in a.aggregates
                }
                for demand in self.demands
                for a in demand.alternatives
                if a.aggregates
            },
        )

    @classmethod
    def from_wire(cls, offer: objects.SchedulingOffer) -> Self:
        """Return the snapshot that an object received over RPC stands for."""
        supplies = [_supply(*row) for row in offer.supplies]
        aggregates = offer.get('aggregate_metadata', {})
        return cls(
            tuple(_demand(aggregates, *row) for row in offer.demands),
            {key_id: _key(row) for key_id, row in offer.keys},
            {host: supplies[number] for host, number in offer.hosts.items()},
            offer.absent,
            {
                host: supplies[number]
                for host, number in offer.get('proven', {}).items()
            },
        )


def _absence(
    host: str, demand: decision_mod.Demand, condition: str
) -> objects.RefusalReason:
    return objects.RefusalReason(
        host=host,
        request_id=demand.request_id,
        pci_flavor=demand.alternatives[0].name,
        condition=condition,
        needed=demand.count,
        left=0,
        detail='',
    )


def _same(
    decision: decision_mod.Decision,
) -> list[decision_mod.Demand]:
    """Return demands for exactly the devices of a decision."""
    return [
        decision_mod.Demand(
            pick.demand.request_id,
            count,
            (
                dataclasses.replace(
                    pick.alternative, key_ids=frozenset({key_id})
                ),
            ),
        )
        for pick in decision.picks
        for key_id, count in pick.pools.items()
    ]


def _place(numa: objects.NumaAffinity | None) -> _Place:
    if numa is None:
        return None
    return tuple(numa.nodes), tuple(numa.socket_nodes)


def _demand_row(demand: decision_mod.Demand) -> list[Any]:
    alternatives = [
        [a.pci_flavor_uuid, a.name, a.numa_policy, sorted(a.key_ids)]
        for a in demand.alternatives
    ]
    return [demand.request_id, demand.count, alternatives]


def _demand(
    aggregates: Mapping[str, Any],
    request_id: str,
    count: int,
    alternatives: list[Any],
) -> decision_mod.Demand:
    return decision_mod.Demand(
        request_id,
        count,
        tuple(
            decision_mod.Alternative(
                pci_flavor_uuid,
                name,
                frozenset(key_ids),
                numa_policy,
                aggregate_metadata.parse(aggregates.get(pci_flavor_uuid)),
            )
            for pci_flavor_uuid, name, numa_policy, key_ids in alternatives
        ),
    )


def _key_row(key: objects.PoolKey) -> dict[str, Any]:
    facts = {name: getattr(key, name) for name in objects.POOL_FIELDS}
    return {**facts, 'extra_info': dict(key.extra_info)}


def _key(row: Mapping[str, Any]) -> objects.PoolKey:
    # Conductors of other releases send more fields, or fewer.
    facts: dict[str, Any] = {
        name: row[name] for name in objects.POOL_FIELDS if name in row
    }
    tags = tuple(sorted(row['extra_info'].items()))
    return objects.PoolKey(**facts, extra_info=tags)


def _supply_row(supply: supply_mod.Supply) -> list[Any]:
    free = [n for pair in sorted(supply.free.items()) for n in pair]
    families = [
        [family.pf, [list(vfs) for vfs in family.vfs], family.members]
        for family in supply.families
    ]
    return [free, families]


def _supply(free: list[int], families: list[Any]) -> supply_mod.Supply:
    return supply_mod.Supply(
        dict(zip(free[::2], free[1::2], strict=True)),
        tuple(
            supply_mod.Family(pf, tuple(tuple(pair) for pair in vfs), members)
            for pf, vfs, members in families
        ),
    )
