# SPDX-License-Identifier: Apache-2.0
"""The decision against trying out all ways to give concrete devices."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.tests.unit import claims as made_up

PCI_KEYS = (1, 2, 3)
PF_KEYS = (11, 12)
VF_KEYS = (21, 22, 23)
ALL_KEYS = (*PCI_KEYS, *PF_KEYS, *VF_KEYS)

#: A device without SR-IOV, by its key.
SINGLES = strategies.sampled_from(PCI_KEYS)
#: A physical function's key, None if not on offer, and those of its VFs.
FAMILIES = strategies.tuples(
    strategies.none() | strategies.sampled_from(PF_KEYS),
    strategies.dictionaries(
        strategies.sampled_from(VF_KEYS),
        strategies.integers(1, 2),
        max_size=2,
    ),
)
#: Always a choice, and a demand for few devices of one or the other kind.
FULL_FAMILIES = strategies.tuples(
    strategies.sampled_from(PF_KEYS),
    strategies.dictionaries(
        strategies.sampled_from(VF_KEYS[:2]),
        strategies.integers(1, 2),
        min_size=1,
        max_size=2,
    ),
)
FEW_OF_FEW = strategies.tuples(
    strategies.integers(1, 2),
    strategies.sampled_from(
        [PF_KEYS, VF_KEYS[:2], (*PF_KEYS, *VF_KEYS[:2])]
    ).flatmap(
        lambda kind: strategies.frozensets(
            strategies.sampled_from(kind), min_size=1, max_size=2
        )
    ),
)
NODES = strategies.sampled_from([None, 0, 1, 2])
AFFINITIES = strategies.none() | strategies.builds(
    made_up.near,
    strategies.sampled_from([0, 1]),
    socket=strategies.just([0, 1]),
)


@strategies.composite
def hosts(draw: strategies.DrawFn, *, families: bool = True) -> made_up.Host:
    """Make hosts of up to ten devices."""
    host = made_up.Host()
    for key_id in draw(
        strategies.lists(SINGLES, min_size=0 if families else 3, max_size=6)
    ):
        host.add(key_id)
    if families:
        for pf, vfs in draw(strategies.lists(FAMILIES, max_size=3)):
            host.family(pf, vfs)
    for key_id, key in host.keys.items():
        host.keys[key_id] = dataclasses.replace(key, numa_node=draw(NODES))
    return host


@strategies.composite
def demand_lists(
    draw: strategies.DrawFn, keys: Sequence[int]
) -> list[claims.Demand]:
    """Make up to four demands for at most six devices together."""
    key_sets = strategies.frozensets(
        strategies.sampled_from(keys or ALL_KEYS), min_size=1, max_size=5
    )
    demands: list[claims.Demand] = []
    left = 6
    for i in range(draw(strategies.integers(1, 4))):
        count = draw(strategies.integers(1, 3))
        left -= count
        if left < 0:
            break
        alternatives = tuple(
            claims.Alternative(f'uuid{i}{j}', f'{i}{j}', key_ids, policy)
            for j, (key_ids, policy) in enumerate(
                draw(
                    strategies.lists(
                        strategies.tuples(
                            key_sets,
                            strategies.sampled_from(fields.NumaPolicy.ALL),
                        ),
                        min_size=1,
                        max_size=3,
                    )
                )
            )
        )
        demands.append(claims.Demand(str(i), count, alternatives))
    return demands


class Trial:
    """All ways to serve demands by certain alternatives."""

    def __init__(
        self,
        host: made_up.Host,
        numa: objects.NumaAffinity | None,
        demands: Sequence[claims.Demand],
        chosen: Sequence[claims.Alternative],
    ) -> None:
        self.host = host
        self.numa = numa
        self.units = [
            (i, alternative)
            for i, (demand, alternative) in enumerate(
                zip(demands, chosen, strict=True)
            )
            for _ in range(demand.count)
        ]

    def best(self) -> tuple[int, int] | None:
        """Return the least (whole PFs that have VFs, NUMA penalty)."""
        with_vfs = {c.pf_address for c in self.host.devices if not c.is_pf}
        return min(
            (
                (
                    sum(
                        c.is_pf and c.pf_address in with_vfs for c, _ in taken
                    ),
                    sum(penalty for _, penalty in taken),
                )
                for taken in self.ways([])
            ),
            default=None,
        )

    def ways(
        self, taken: list[tuple[claims.Candidate, int]]
    ) -> Iterator[list[tuple[claims.Candidate, int]]]:
        if len(taken) == len(self.units):
            yield taken
            return
        index, alternative = self.units[len(taken)]
        again = taken and self.units[len(taken) - 1][0] == index
        # Devices of one demand in ascending order: any order is the same.
        start = taken[-1][0].device_id + 1 if again else 0
        for device in self.host.devices[start:]:
            penalty = penalty_of(self.host, device, alternative, self.numa)
            if penalty is not None and not any(
                excludes(device, other) for other, _ in taken
            ):
                yield from self.ways([*taken, (device, penalty)])


def excludes(one: claims.Candidate, other: claims.Candidate) -> bool:
    """Whether both cannot be given away: the same, or a PF and its VF."""
    return one.device_id == other.device_id or (
        one.pf_address is not None
        and one.pf_address == other.pf_address
        and one.is_pf != other.is_pf
    )


def penalty_of(
    host: made_up.Host,
    device: claims.Candidate,
    alternative: claims.Alternative,
    numa: objects.NumaAffinity | None,
) -> int | None:
    if device.key_id not in alternative.key_ids:
        return None
    return claims.decision.numa_penalty(
        host.keys[device.key_id], alternative.numa_policy, numa
    )


class BruteForceTest(testtools.TestCase):
    def check(
        self,
        host: made_up.Host,
        demands: list[claims.Demand],
        numa: objects.NumaAffinity | None,
    ) -> None:
        decision = host.decide(*demands, numa=numa)
        for chosen in itertools.product(*(d.alternatives for d in demands)):
            best = Trial(host, numa, demands, chosen).best()
            if best is not None:
                break
        else:
            self.assertIsNone(decision)
            return
        assert decision is not None
        self.assertEqual(
            list(chosen), [pick.alternative for pick in decision.picks]
        )
        self.assertEqual(best[0], sum(decision.opened))
        for placement in claims.VF_PLACEMENTS:
            penalty = self.check_choice(host, decision, placement, numa)
            if not host.supply.families:
                self.assertEqual(best[1], penalty)

    def check_choice(
        self,
        host: made_up.Host,
        decision: claims.Decision,
        placement: str,
        numa: objects.NumaAffinity | None,
    ) -> int:
        """Check the devices; return their NUMA penalty."""
        devices = claims.choose(host.devices, decision, {}, placement)
        penalty = 0
        for pick in decision.picks:
            mine = devices[pick.demand.request_id]
            self.assertEqual(pick.demand.count, len(mine))
            for device in mine:
                cost = penalty_of(host, device, pick.alternative, numa)
                assert cost is not None
                penalty += cost
        taken = list(itertools.chain.from_iterable(devices.values()))
        for one, other in itertools.combinations(taken, 2):
            self.assertFalse(excludes(one, other), (one, other))
        return penalty

    @hypothesis.given(strategies.data(), hosts(), AFFINITIES)
    def test_all_kinds(
        self,
        data: strategies.DataObject,
        host: made_up.Host,
        numa: objects.NumaAffinity | None,
    ) -> None:
        self.check(host, data.draw(demand_lists(list(host.keys))), numa)

    @hypothesis.given(
        strategies.data(), strategies.lists(FAMILIES, min_size=2, max_size=3)
    )
    def test_families(
        self,
        data: strategies.DataObject,
        families: list[tuple[int | None, dict[int, int]]],
    ) -> None:
        host = made_up.Host()
        for pf, vfs in families:
            host.family(pf, vfs)
        self.check(host, data.draw(demand_lists(list(host.keys))), None)

    @hypothesis.given(
        strategies.lists(FULL_FAMILIES, min_size=2, max_size=4),
        strategies.lists(FEW_OF_FEW, min_size=2, max_size=4),
    )
    def test_whole_ones_and_parts(
        self,
        families: list[tuple[int, dict[int, int]]],
        wanted: list[tuple[int, frozenset[int]]],
    ) -> None:
        host = made_up.Host()
        for pf, vfs in families:
            host.family(pf, vfs)
        demands = [
            made_up.want(str(i), count, sorted(key_ids))
            for i, (count, key_ids) in enumerate(wanted)
        ]
        self.check(host, demands, None)

    @hypothesis.given(strategies.data(), hosts(families=False), AFFINITIES)
    def test_numa(
        self,
        data: strategies.DataObject,
        host: made_up.Host,
        numa: objects.NumaAffinity | None,
    ) -> None:
        self.check(host, data.draw(demand_lists(PCI_KEYS)), numa)

    @hypothesis.given(strategies.data(), hosts(), AFFINITIES)
    def test_failed_starts(
        self,
        data: strategies.DataObject,
        host: made_up.Host,
        numa: objects.NumaAffinity | None,
    ) -> None:
        """Nobody gets a device with failed starts who can do without."""
        counts = strategies.integers(0, 2)
        host.devices = [
            dataclasses.replace(device, failed_starts=data.draw(counts))
            for device in host.devices
        ]
        demands = data.draw(demand_lists(list(host.keys)))
        get_key = host.keys.__getitem__
        decision = claims.decide_among(host.devices, demands, get_key, numa)
        self.assertEqual(
            host.decide(*demands, numa=numa) is None, decision is None
        )
        if decision is None:
            return
        chosen = claims.choose(host.devices, decision, {})
        taken = list(itertools.chain.from_iterable(chosen.values()))
        proven = claims.supply_of(
            d for d in host.devices if not d.failed_starts
        )
        if claims.decide(proven, demands, get_key, numa) is not None:
            self.assertEqual([], [d for d in taken if d.failed_starts])
        # Of equal devices, those with fewer failed starts go first.
        worst: dict[int, int] = {}
        for device in taken:
            if device.pf_address is None:
                worst[device.key_id] = max(
                    worst.get(device.key_id, 0), device.failed_starts
                )
        for device in host.devices:
            if device.pf_address is None and device not in taken:
                self.assertGreaterEqual(
                    device.failed_starts, worst.get(device.key_id, 0)
                )
