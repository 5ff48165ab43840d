# SPDX-License-Identifier: Apache-2.0
"""Decides whether a host can serve requests, and from which pools."""

import collections
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.claims import assignment
from pci_passthrough.claims import opening
from pci_passthrough.claims import supply as supply_mod
from pci_passthrough.objects import fields
from pci_passthrough.specs import aggregate_metadata

#: Device types by cost: VFs are the cheapest, and PFs, which could still be
#: split into VFs, are the most expensive. What is no PCI function has none.
DEV_TYPE_RANK = {
    None: 0,
    fields.DevType.SRIOV_VF: 0,
    fields.DevType.VDPA: 1,
    fields.DevType.STANDARD: 2,
    fields.DevType.SRIOV_PF: 3,
}

#: Pool to the cost of one of its devices for a demand.
_Costs = Mapping[assignment.Pool, int]

#: For each demand, pool to number of devices; for each family, how many of
#: its members are opened.
_Served = tuple[list[dict[assignment.Pool, int]], tuple[int, ...]]

GetKey = Callable[[int], objects.PoolKey]

#: UUID of a PCI flavor to the number of devices that an instance may get by
#: it. The others have no limit.
Room = Mapping[str, int]
NO_LIMITS: Room = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Alternative:
    """One of the PCI flavors that could serve a request.

    :ivar pci_flavor_uuid: the PCI flavor's UUID.
    :ivar name: the PCI flavor's name, for messages.
    :ivar key_ids: ids of the pool keys that the PCI flavor matches.
    :ivar numa_policy: one of ``objects.fields.NumaPolicy``.
    :ivar aggregates: conditions on the host aggregates of a host.
    :ivar outside: on a host that does not fulfil these, the reason; there no
        pool key matches.
    :ivar generation: the PCI flavor's generation when it was resolved. Only
        a claim looks at it; it does not go over the wire to the scheduler.
    """

    pci_flavor_uuid: str
    name: str
    key_ids: frozenset[int]
    numa_policy: str
    aggregates: aggregate_metadata.Conditions = ()
    outside: str = ''
    generation: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """A request with its PCI flavors resolved.

    :ivar count: at least one.
    :ivar alternatives: in order of preference; one serves the whole request.
    :raises exception.InvalidRequest: it asks for no device.
    """

    request_id: str
    count: int
    alternatives: tuple[Alternative, ...]

    def __post_init__(self) -> None:
        if self.count < 1 or not self.alternatives:
            names = '|'.join(a.name for a in self.alternatives)
            raise exception.InvalidRequest(
                f'{names}:{self.count}', 'asks for no device'
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Pick:
    """The pools that serve one demand.

    :ivar alternative: the chosen one of the demand's alternatives.
    :ivar pools: pool key id to number of devices.
    """

    demand: Demand
    alternative: Alternative
    pools: Mapping[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """The answer of ``decide``.

    :ivar supply: the supply that it was made on.
    :ivar picks: in the order of the demands.
    :ivar opened: for each of the supply's families, how many members are
        given as whole physical functions.
    """

    supply: supply_mod.Supply
    picks: tuple[Pick, ...]
    opened: tuple[int, ...]


def decide(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    get_key: GetKey,
    numa: objects.NumaAffinity | None = None,
    room: Room = NO_LIMITS,
) -> Decision | None:
    """Serve all demands of one instance from one host's free devices.

    Preferences are lexicographic: the first demand gets the best alternative
    with which the others can still be served. Once the alternatives are
    settled, as few physical functions as possible are given as a whole. Among
    the pools, those near the instance's NUMA nodes go first, then those with
    the least features; virtual functions of a whole physical function go
    after the others.

    :param supply: the host's free devices.
    :param demands: the instance's requests.
    :param get_key: returns the pool key of an id; called only for keys of the
        demands.
    :param numa: the instance's NUMA nodes on the host. None means no NUMA
        topology; no policy excludes any device then, as in Nova.
    :param room: how many devices the instance may get by a PCI flavor.
    :returns: None if the host cannot serve all demands together.
    """
    if any(
        all(
            supply.total(alternative.key_ids) < demand.count
            for alternative in demand.alternatives
        )
        for demand in demands
    ):
        return None
    return _search(
        supply, demands, _all_costs(supply, demands, get_key, numa), room, ()
    )


def decide_sparing(
    supply: supply_mod.Supply,
    proven: supply_mod.Supply | None,
    demands: Sequence[Demand],
    get_key: GetKey,
    numa: objects.NumaAffinity | None = None,
    room: Room = NO_LIMITS,
) -> Decision | None:
    """Decide like ``decide``; use devices with failed starts last.

    They go last even if they are nearer or preferred: the next guest would
    not start, either. They are used only if the demands cannot be served
    without them.

    :param proven: the supply without the devices with failed starts; None
        means that the host has none of them.
    """
    if proven is not None:
        decision = decide(proven, demands, get_key, numa, room)
        if decision is not None:
            return decision
    return decide(supply, demands, get_key, numa, room)


def numa_penalty(
    key: objects.PoolKey, policy: str, numa: objects.NumaAffinity | None
) -> int | None:
    """Return how far a device is from the instance; 0 means near.

    The policies are Nova's (``nova.pci.stats``): ``required`` wants one of
    the instance's nodes, ``legacy`` also takes devices that have no node,
    ``preferred`` takes any, ``socket`` wants the same socket. An instance
    without NUMA nodes is near every device.

    :returns: None if the policy excludes the device.
    """
    if numa is None or not numa.nodes or key.numa_node in numa.nodes:
        return 0
    if policy == fields.NumaPolicy.SOCKET:
        return 1 if key.numa_node in numa.socket_nodes else None
    if policy == fields.NumaPolicy.REQUIRED:
        return None
    if key.numa_node is None:
        return 1
    return 2 if policy == fields.NumaPolicy.PREFERRED else None


def _all_costs(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    get_key: GetKey,
    numa: objects.NumaAffinity | None,
) -> list[list[_Costs]]:
    """Return the costs for each demand and alternative."""
    available = supply.pools()
    alternatives = {a for demand in demands for a in demand.alternatives}
    wanted = frozenset().union(*(a.key_ids for a in alternatives))
    ranked = sorted(
        (pool for pool in available if pool[0] in wanted),
        key=lambda pool: _featured(get_key(pool[0]), pool),
    )
    # One step of distance outweighs the ranks of all devices.
    step = len(ranked) * sum(demand.count for demand in demands) + 1

    def costs_of(alternative: Alternative) -> _Costs:
        costs = {}
        for rank, pool in enumerate(ranked):
            if pool[0] in alternative.key_ids:
                key = get_key(pool[0])
                penalty = numa_penalty(key, alternative.numa_policy, numa)
                if penalty is not None:
                    costs[pool] = penalty * step + rank
        return costs

    by_alternative = {a: costs_of(a) for a in alternatives}
    return [
        [by_alternative[a] for a in demand.alternatives] for demand in demands
    ]


def _featured(
    key: objects.PoolKey, pool: assignment.Pool
) -> tuple[int, bool, int, int]:
    key_id, in_whole_pf = pool
    rank = DEV_TYPE_RANK[key.dev_type]
    return (rank, in_whole_pf, len(key.extra_info), key_id)


def _search(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    costs: Sequence[Sequence[_Costs]],
    room: Room,
    chosen: tuple[int, ...],
) -> Decision | None:
    """Try the alternatives depth first, the best ones first.

    A demand that is not settled yet may use the pools of all of its
    alternatives. If the demands cannot be served even so, the branch is cut.

    :param chosen: indices of the alternatives that are settled.
    """
    if not _has_room(demands, chosen, room):
        return None
    served = _serve(
        supply,
        [
            (
                demand.count,
                costs[i][chosen[i]] if i < len(chosen) else _any_of(costs[i]),
            )
            for i, demand in enumerate(demands)
        ],
    )
    if served is None:
        return None
    if all(len(demand.alternatives) == 1 for demand in demands[len(chosen) :]):
        return _decision(supply, demands, chosen, served)
    first = _first_to_try(demands, chosen)
    for index in range(first, len(demands[len(chosen)].alternatives)):
        decision = _search(supply, demands, costs, room, (*chosen, index))
        if decision is not None:
            return decision
    return None


def _has_room(
    demands: Sequence[Demand], chosen: Sequence[int], room: Room
) -> bool:
    """Whether the limits have room for the alternatives that are settled."""
    if not room:
        return True
    taken: collections.Counter[str] = collections.Counter()
    for demand, index in itertools.zip_longest(demands, chosen):
        if index is not None or len(demand.alternatives) == 1:
            alternative = demand.alternatives[index or 0]
            taken[alternative.pci_flavor_uuid] += demand.count
    return all(taken[uuid] <= room[uuid] for uuid in room if uuid in taken)


def _any_of(costs: Sequence[_Costs]) -> _Costs:
    """Return the costs of a demand that any of its alternatives serves."""
    if len(costs) == 1:
        return costs[0]
    return {
        pool: cost
        for alternative in reversed(costs)
        for pool, cost in alternative.items()
    }


def _first_to_try(demands: Sequence[Demand], chosen: Sequence[int]) -> int:
    """Return the first alternative to try for the next demand.

    Equal demands can be exchanged, so a later one need not get a better
    alternative than an earlier one.
    """
    demand = demands[len(chosen)]
    same = [
        index
        for earlier, index in zip(demands, chosen, strict=False)
        if earlier.count == demand.count
        and earlier.alternatives == demand.alternatives
    ]
    return same[-1] if same else 0


def _serve(
    supply: supply_mod.Supply, needs: Sequence[assignment.Need]
) -> _Served | None:
    """Serve needs from pools; None if that is impossible.

    The families to open are first decided as if each need stood alone. If
    some needs together then lack devices, this adds a requirement.
    """
    requirements = [
        assignment.Requirement(frozenset(k for k, _ in costs), count)
        for count, costs in needs
    ]
    prices: dict[int, int] = {}
    for family in supply.families:
        pf = (family.pf, False)
        asked = [costs[pf] for _, costs in needs if pf in costs]
        prices[family.pf] = min(asked, default=0)
    while True:
        opened = opening.fewest(supply, requirements, prices)
        if opened is None:
            return None
        served = assignment.assign(needs, supply.capacity(opened))
        if isinstance(served, list):
            return served, opened
        requirements.append(served)


def _decision(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    chosen: Sequence[int],
    served: _Served,
) -> Decision:
    given, opened = served
    picks = []
    for i, (demand, pools) in enumerate(zip(demands, given, strict=True)):
        counts: dict[int, int] = {}
        for (key_id, _), count in pools.items():
            counts[key_id] = counts.get(key_id, 0) + count
        index = chosen[i] if i < len(chosen) else 0
        picks.append(Pick(demand, demand.alternatives[index], counts))
    return Decision(supply, tuple(picks), opened)
