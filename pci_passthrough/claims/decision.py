# SPDX-License-Identifier: Apache-2.0
"""Whether a host can serve an instance's requests, and from which pools."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from pci_passthrough import objects
from pci_passthrough.claims import assignment
from pci_passthrough.claims import supply as supply_mod
from pci_passthrough.objects import fields

#: More than the ranks of all pools of a host can sum up to.
_NUMA_PENALTY = 1_000_000

#: Least featured first: a VF is the cheapest thing to give away, and a PF
#: that could still be split into VFs the dearest.
_DEV_TYPE_RANK = {
    fields.DevType.SRIOV_VF: 0,
    fields.DevType.VDPA: 1,
    fields.DevType.STANDARD: 2,
    fields.DevType.SRIOV_PF: 3,
}

GetKey = Callable[[int], objects.PoolKey]


@dataclasses.dataclass(frozen=True, slots=True)
class Alternative:
    """One of the PCI flavors that could serve a request.

    :ivar pci_flavor_uuid: the PCI flavor.
    :ivar name: its name, for people.
    :ivar key_ids: the pool keys which it matches.
    :ivar numa_policy: one of ``objects.fields.NumaPolicy``.
    """

    pci_flavor_uuid: str
    name: str
    key_ids: frozenset[int]
    numa_policy: str


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """A request with its PCI flavors resolved.

    :ivar alternatives: in order of preference; one serves the whole request.
    """

    request_id: str
    count: int
    alternatives: tuple[Alternative, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Pick:
    """How one demand is served.

    :ivar pools: pool key id to number of devices.
    """

    demand: Demand
    alternative: Alternative
    pools: Mapping[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """The answer of ``decide``.

    :ivar picks: in the order of the demands.
    :ivar opened: how many members of each of the supply's families go as
        whole physical functions.
    """

    picks: tuple[Pick, ...]
    opened: tuple[int, ...]


def decide(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    get_key: GetKey,
    numa: objects.NumaAffinity | None = None,
) -> Decision | None:
    """Serve all demands of one instance from one host's free devices.

    Preferences are lexicographic: the first demand gets its best alternative
    that still leaves a way to serve the others. Among the pools of the
    alternatives, those near the instance's NUMA nodes go first, then the
    least featured.

    :param supply: what the host could give away.
    :param demands: the instance's requests.
    :param get_key: pool key id to pool key.
    :param numa: where the instance is on the host; None: no NUMA topology,
        then no policy excludes anything, as in Nova.
    :returns: None if the host cannot serve them all together.
    """
    if any(
        all(
            supply.total(alternative.key_ids) < demand.count
            for alternative in demand.alternatives
        )
        for demand in demands
    ):
        return None
    return _search(supply, demands, [], _Costs(get_key, numa))


def numa_penalty(
    key: objects.PoolKey, policy: str, numa: objects.NumaAffinity | None
) -> int | None:
    """Say how well a device's NUMA node suits; 0 is best, None is not at all.

    The policies are Nova's (``nova.pci.stats``): ``required`` wants one of
    the instance's nodes, ``legacy`` also takes devices that have no node,
    ``preferred`` takes any, ``socket`` wants the same socket.
    """
    if numa is None or key.numa_node in numa.nodes:
        return 0
    if policy == fields.NumaPolicy.SOCKET:
        return 1 if key.numa_node in numa.socket_nodes else None
    if policy == fields.NumaPolicy.REQUIRED:
        return None
    if key.numa_node is None:
        return 1
    return 2 if policy == fields.NumaPolicy.PREFERRED else None


class _Costs:
    """The cost of a device from a pool, for each alternative."""

    def __init__(
        self, get_key: GetKey, numa: objects.NumaAffinity | None
    ) -> None:
        self._get_key = get_key
        self._numa = numa

    def of(
        self, alternative: Alternative, capacity: Mapping[int, int]
    ) -> dict[int, int]:
        usable = {
            key_id: penalty
            for key_id in alternative.key_ids
            if capacity.get(key_id)
            and (
                penalty := numa_penalty(
                    self._get_key(key_id), alternative.numa_policy, self._numa
                )
            )
            is not None
        }
        ranked = sorted(
            (key_id for key_id in capacity if capacity[key_id]),
            key=self._featured,
        )
        rank = {key_id: place for place, key_id in enumerate(ranked)}
        return {
            key_id: penalty * _NUMA_PENALTY + rank[key_id]
            for key_id, penalty in usable.items()
        }

    def _featured(self, key_id: int) -> tuple[int, int, int]:
        key = self._get_key(key_id)
        return (_DEV_TYPE_RANK[key.dev_type], len(key.extra_info), key_id)


def _search(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    chosen: list[Alternative],
    costs: _Costs,
) -> Decision | None:
    """Try the alternatives depth first, best first, with a look ahead.

    A prefix of alternatives which cannot be served cuts its whole branch.
    """
    decision = None
    if chosen:
        decision = _serve(supply, demands[: len(chosen)], chosen, costs)
        if decision is None or len(chosen) == len(demands):
            return decision
    elif not demands:
        return Decision((), (0,) * len(supply.families))
    for alternative in demands[len(chosen)].alternatives:
        decision = _search(supply, demands, [*chosen, alternative], costs)
        if decision is not None:
            return decision
    return None


def _serve(
    supply: supply_mod.Supply,
    demands: Sequence[Demand],
    chosen: Sequence[Alternative],
    costs: _Costs,
) -> Decision | None:
    """Serve demands by one alternative each, or say that it is impossible."""
    wanted = frozenset().union(*(a.key_ids for a in chosen))
    most_pfs = sum(demand.count for demand in demands)
    for capacity, opened in supply.capacities(wanted, most_pfs):
        pools = assignment.assign(
            [
                (demand.count, costs.of(alternative, capacity))
                for demand, alternative in zip(demands, chosen, strict=True)
            ],
            capacity,
        )
        if pools is not None:
            return Decision(
                tuple(map(Pick, demands, chosen, pools)),
                opened,
            )
    return None
