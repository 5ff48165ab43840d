# SPDX-License-Identifier: Apache-2.0
"""Tests of deciding whether, and from which pools, a host serves."""

from collections.abc import Sequence

import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.objects import fields
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import want

#: policy; the NUMA nodes of the devices; those taken, for two devices and an
#: instance on node 0 of a socket with nodes 0 and 1. As in
#: ``nova.pci.stats.PciDeviceStats._filter_pools_for_numa_cells``.
NUMA: list[tuple[str, list[int | None], list[int | None] | None]] = [
    ('legacy', [0, 0, None, 2], [0, 0]),
    ('legacy', [0, None, 2], [0, None]),
    ('legacy', [None, None], [None, None]),
    ('legacy', [0, 1, 2], None),
    ('preferred', [0, 0, None], [0, 0]),
    ('preferred', [0, None, 2], [0, None]),
    ('preferred', [None, None, 2], [None, None]),
    ('preferred', [0, 2, 2], [0, 2]),
    ('preferred', [2, 2], [2, 2]),
    ('required', [0, 0, None], [0, 0]),
    ('required', [0, None, 1], None),
    ('socket', [0, 0, 1], [0, 0]),
    ('socket', [0, 1, 1], [0, 1]),
    ('socket', [1, 1, None], [1, 1]),
    ('socket', [0, None, 2], None),
]


def first_match(
    supply: claims.Supply, demands: Sequence[claims.Demand]
) -> bool:
    """Serve demands one after the other from the first pool with enough."""
    left = dict(supply.free)
    for demand in demands:
        for key_id in sorted(demand.alternatives[0].key_ids):
            if left.get(key_id, 0) >= demand.count:
                left[key_id] -= demand.count
                break
        else:
            return False
    return True


class NumaTest(testtools.TestCase):
    def test_policies(self) -> None:
        for policy, nodes, expected in NUMA:
            host = made_up.Host()
            for key_id, node in enumerate(nodes):
                host.add(key_id, numa=node)
            pools = made_up.pools_of(
                host.decide(
                    want('a', 2, range(len(nodes)), policy=policy),
                    numa=made_up.near(0, socket=[0, 1]),
                )
            )
            with self.subTest(policy=policy, nodes=nodes):
                if pools is None:
                    self.assertIsNone(expected)
                else:
                    taken = [nodes[key_id] for key_id in sorted(pools[0])]
                    self.assertEqual(expected, taken)

    def test_without_numa_topology_anything_goes(self) -> None:
        host = made_up.Host().add(1, numa=3)
        for policy in fields.NumaPolicy.ALL:
            demand = want('a', 1, [1], policy=policy)
            self.assertIsNotNone(host.decide(demand))
            self.assertIsNotNone(host.decide(demand, numa=made_up.near()))

    def test_policy_is_the_alternatives(self) -> None:
        host = made_up.Host().add(1, numa=1).add(2, numa=0)
        strict = want('a', 1, [1], policy='required').alternatives
        loose = want('b', 1, [1, 2], policy='preferred').alternatives
        decision = host.decide(
            claims.Demand('a', 1, strict + loose), numa=made_up.near(0)
        )
        self.assertEqual([{2: 1}], made_up.pools_of(decision))

    def test_who_minds_less_goes_further(self) -> None:
        # A device of the same socket is near to one, far to the other.
        host = made_up.Host().add(1, numa=0).add(2, numa=1)
        decision = host.decide(
            want('a', 1, [1, 2], policy='socket'),
            want('b', 1, [1, 2], policy='preferred'),
            numa=made_up.near(0, socket=[0, 1]),
        )
        self.assertEqual([{2: 1}, {1: 1}], made_up.pools_of(decision))

    def test_near_physical_function_is_opened(self) -> None:
        for nodes in ((0, 1), (1, 0)):
            host = made_up.Host()
            for i, node in enumerate(nodes):
                host.family(2 * i, {2 * i + 1: 4}, numa=node)
            decision = host.decide(
                want('a', 1, [0, 2], policy='preferred'),
                numa=made_up.near(0),
            )
            self.assertEqual(
                [{2 * nodes.index(0): 1}], made_up.pools_of(decision)
            )


class AssignmentTest(testtools.TestCase):
    def test_first_match_is_not_enough(self) -> None:
        host = made_up.Host().add(1).add(2)
        demands = [want('any', 1, [1, 2]), want('first', 1, [1])]
        self.assertFalse(first_match(host.supply, demands))
        self.assertEqual(
            [{2: 1}, {1: 1}], made_up.pools_of(host.decide(*demands))
        )

    def test_one_need_from_several_pools(self) -> None:
        host = made_up.Host().add(1, 2).add(2, 2)
        self.assertFalse(first_match(host.supply, [want('a', 3, [1, 2])]))
        self.assertEqual(
            [{1: 2, 2: 1}],
            made_up.pools_of(host.decide(want('a', 3, [1, 2]))),
        )

    def test_moves_through_a_third_need(self) -> None:
        host = made_up.Host().add(1, 2).add(2, 2).add(3, 2)
        decision = host.decide(
            want('a', 2, [1, 2]), want('b', 2, [2, 3]), want('c', 2, [1])
        )
        self.assertEqual([{2: 2}, {3: 2}, {1: 2}], made_up.pools_of(decision))

    def test_a_device_is_promised_once(self) -> None:
        host = made_up.Host().add(1, 3)
        demands = [want('a', 2, [1]), want('b', 2, [1])]
        self.assertIsNone(host.decide(*demands))
        for demand in demands:
            self.assertIsNotNone(host.decide(demand))

    def test_nothing_asked(self) -> None:
        host = made_up.Host().family(1, {2: 2})
        self.assertEqual(claims.Decision(host.supply, (), (0,)), host.decide())
        for count, alternatives in ((0, [[1]]), (-1, [[1]]), (1, [])):
            self.assertRaises(
                exception.InvalidRequest, want, 'a', count, *alternatives
            )


class AlternativesTest(testtools.TestCase):
    def chosen(
        self, host: made_up.Host, *demands: claims.Demand
    ) -> list[str] | None:
        decision = host.decide(*demands)
        if decision is None:
            return None
        return [pick.alternative.name for pick in decision.picks]

    def test_one_serves_the_whole_request(self) -> None:
        host = made_up.Host().add(1, 1).add(2, 1)
        self.assertIsNone(self.chosen(host, want('a', 2, [1], [2])))
        host.add(2, 1)
        self.assertEqual(['a1'], self.chosen(host, want('a', 2, [1], [2])))

    def test_first_demand_prefers_first(self) -> None:
        host = made_up.Host().add(1, 1).add(2, 2)
        demands = [want('a', 1, [1], [2]), want('b', 1, [1], [2])]
        self.assertEqual(['a0', 'b1'], self.chosen(host, *demands))

    def test_gives_way_to_who_has_no_other(self) -> None:
        host = made_up.Host().add(1, 1).add(2, 1)
        demands = [want('a', 1, [1], [2]), want('b', 1, [1])]
        self.assertEqual(['a1', 'b0'], self.chosen(host, *demands))

    def test_demands_alike(self) -> None:
        host = made_up.Host().add(1, 2).add(2, 2)
        same = want('a', 1, [1], [2])
        demands = [
            claims.Demand(str(i), 1, same.alternatives) for i in range(4)
        ]
        self.assertEqual(['a0', 'a0', 'a1', 'a1'], self.chosen(host, *demands))


class LeastFeaturedTest(testtools.TestCase):
    def taken(
        self, host: made_up.Host, count: int = 1
    ) -> list[dict[int, int]] | None:
        return made_up.pools_of(host.decide(want('a', count, list(host.keys))))

    def test_fewer_tags_first(self) -> None:
        host = made_up.Host().add(1, san='a', group='b').add(2, san='a').add(3)
        self.assertEqual([{3: 1, 2: 1}], self.taken(host, 2))

    def test_virtual_function_first_whole_one_last(self) -> None:
        host = made_up.Host().family(1, {2: 1}).add(3).family(None, {4: 1})
        self.assertEqual([{4: 1}], self.taken(host))
        self.assertEqual([{2: 1, 4: 1}], self.taken(host, 2))
        self.assertEqual([{2: 1, 3: 1, 4: 1}], self.taken(host, 3))
        self.assertIsNone(self.taken(host, 4))

    def test_whole_physical_function_is_kept(self) -> None:
        host = made_up.Host().family(1, {2: 2}).family(None, {3: 2})
        decision = host.decide(want('a', 2, [2, 3]))
        self.assertEqual([{3: 2}], made_up.pools_of(decision))

    def test_nearness_counts_more(self) -> None:
        host = made_up.Host().add(1, numa=1).add(2, numa=0, san='a')
        decision = host.decide(
            want('a', 1, [1, 2], policy='preferred'), numa=made_up.near(0)
        )
        self.assertEqual([{2: 1}], made_up.pools_of(decision))


class FamilyTest(testtools.TestCase):
    def test_physical_xor_virtual_functions(self) -> None:
        host = made_up.Host().family(1, {2: 4})
        for pfs, vfs, expected in (
            (1, 0, True),
            (0, 4, True),
            (1, 1, False),
            (0, 5, False),
        ):
            demands = [
                want(name, count, [key_id])
                for name, count, key_id in (('pf', pfs, 1), ('vf', vfs, 2))
                if count
            ]
            self.assertEqual(expected, host.decide(*demands) is not None)

    def test_flavor_of_both_kinds(self) -> None:
        host = made_up.Host().family(1, {2: 4}).family(1, {2: 4})
        for count, expected in ((8, {2: 8}), (9, None)):
            pools = made_up.pools_of(host.decide(want('a', count, [1, 2])))
            self.assertEqual(expected and [expected], pools)

    def test_smallest_family_is_opened(self) -> None:
        host = made_up.Host().family(1, {2: 4}).family(1, {2: 2})
        decision = host.decide(want('pf', 1, [1]), want('vf', 4, [2]))
        self.assertEqual([{1: 1}, {2: 4}], made_up.pools_of(decision))
        self.assertIsNone(host.decide(want('pf', 1, [1]), want('vf', 5, [2])))

    def test_physical_functions_of_two_kinds(self) -> None:
        host = made_up.Host().family(1, {2: 2}).family(3, {2: 2})
        host.family(3, {2: 2})
        decision = host.decide(
            want('a', 1, [1]), want('b', 1, [3]), want('vf', 2, [2])
        )
        self.assertEqual([{1: 1}, {3: 1}, {2: 2}], made_up.pools_of(decision))

    def test_rivals_for_virtual_functions_decide(self) -> None:
        # Each demand for VFs alone could do with either family opened.
        host = made_up.Host().family(1, {2: 2}).family(1, {3: 2})
        demands = [
            want('pf', 1, [1]),
            want('a', 1, [2, 3]),
            want('b', 1, [3]),
        ]
        decision = host.decide(*demands)
        self.assertEqual([{1: 1}, {3: 1}, {3: 1}], made_up.pools_of(decision))

    def test_what_a_later_family_takes_away_is_replaced(self) -> None:
        # To give away 12 takes one of the three 22 that are there: then two
        # of 11 have to go, and not one.
        host = made_up.Host().family(11, {21: 1}).family(11, {21: 1})
        host.family(11, {21: 1, 22: 2}).family(12, {21: 1, 22: 1})
        decision = host.decide(
            want('a', 1, [11]),
            want('b', 1, [12]),
            want('c', 1, [22]),
            want('d', 2, [11, 22]),
        )
        self.assertEqual((2, 0, 1), decision.opened if decision else None)

    def test_free_physical_function_goes_first(self) -> None:
        host = made_up.Host().family(1, {2: 2}).family(1, {})
        decision = host.decide(want('pf', 1, [1]))
        self.assertEqual([{1: 1}], made_up.pools_of(decision))
        self.assertEqual((0,), decision.opened if decision else None)


class SupplyTest(testtools.TestCase):
    def test_supply_of(self) -> None:
        host = made_up.Host().add(1, 2).family(2, {3: 2}).family(2, {3: 2})
        host.family(2, {3: 1, 4: 1}).family(None, {3: 2}).family(2, {})
        self.assertEqual(
            claims.Supply(
                {1: 2, 2: 1, 3: 2},
                (
                    claims.Family(2, ((3, 1), (4, 1)), 1),
                    claims.Family(2, ((3, 2),), 2),
                ),
            ),
            host.supply,
        )

    def test_total(self) -> None:
        supply = made_up.Host().add(1, 2).family(2, {3: 4}).supply
        for key_ids, expected in (
            ([1], 2),
            ([2], 1),
            ([3], 4),
            ([2, 3], 4),
            ([1, 2, 9], 3),
            ([], 0),
        ):
            self.assertEqual(expected, supply.total(frozenset(key_ids)))


class CrowdedHostTest(testtools.TestCase):
    """A search that tries all ways to open families would not end here."""

    def decide(
        self, host: made_up.Host, *demands: claims.Demand, fits: bool
    ) -> None:
        decision = claims.decide(host.supply, demands, host.keys.__getitem__)
        self.assertEqual(fits, decision is not None)

    def crowded(self, sizes: Sequence[int]) -> made_up.Host:
        """No two families alike: keys 0 to 15 are PFs, the others VFs."""
        host = made_up.Host()
        for i, size in enumerate(sizes):
            host.family(i, {100 + i: size}, numa=i % 2)
        return host

    def test_sixteen_by_sixteen(self) -> None:
        host = self.crowded([16] * 16)
        pfs, vfs = range(16), range(100, 116)
        halves = [want('a', 64, vfs[:9]), want('b', 64, vfs[7:])]
        for last, fits in ((0, True), (1, False)):
            self.decide(
                host,
                want('pf', 8, pfs),
                *halves[:1],
                want('c', 63, vfs),
                want('d', 1 + last, vfs),
                fits=fits,
            )
            self.decide(
                host,
                want('pf', 4, pfs[:8]),
                want('pf2', 4, pfs[4:]),
                *halves,
                fits=True,
            )

    def test_sizes_differ(self) -> None:
        host = self.crowded(range(1, 17))
        pfs, vfs = range(16), range(100, 116)
        # The eight smallest go whole, which leaves a hundred.
        for count, fits in ((99, True), (100, False)):
            self.decide(
                host,
                want('pf', 8, pfs),
                want('a', 50, vfs),
                want('b', count - 50, vfs),
                want('c', 1, [0, 115]),
                fits=fits,
            )

    def test_alternatives(self) -> None:
        host = self.crowded([16] * 16)
        pfs, vfs = range(16), range(100, 116)
        demands = [
            want(f'r{i}', 5 + i, pfs[i : i + 4], vfs[i : i + 2], [*pfs, 115])
            for i in range(4)
        ]
        self.decide(host, *demands, fits=True)
        self.decide(
            host,
            *(want(f'r{i}', 6, pfs[i:], pfs[:-i], pfs) for i in range(1, 4)),
            want('vf', 1, vfs),
            fits=False,
        )

    def test_bin_packing(self) -> None:
        host = made_up.Host().add(1, 10).add(2, 10).add(3, 9)
        same = want('a', 3, [1], [2], [3]).alternatives
        demands = [claims.Demand(str(i), 3, same) for i in range(10)]
        self.decide(host, *demands[:9], fits=True)
        self.decide(host, *demands, fits=False)
