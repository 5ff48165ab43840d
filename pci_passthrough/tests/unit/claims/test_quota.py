# SPDX-License-Identifier: Apache-2.0
"""Tests of what the limits of a project leave for an instance."""

import testtools

from pci_passthrough import claims
from pci_passthrough.tests.unit import claims as made_up

A, B, C = 'a', 'b', 'c'


class QuotaTest(testtools.TestCase):
    def test_room(self) -> None:
        for quota, room in (
            # A new instance.
            ((5,), 5),
            ((5, 3), 2),
            ((5, 5), 0),
            ((5, 7), 0),
            # A move to another host, with the limit lowered meanwhile.
            ((5, 1, 2), 4),
            ((5, 4, 2), 2),
            ((1, 4, 2), 2),
            # One more device for an instance.
            ((5, 1, 2, 2), 2),
            ((5, 3, 2, 2), 0),
            ((1, 3, 2, 2), 0),
            # Its devices are on a host that it has left.
            ((5, 1, 2, 0), 4),
        ):
            self.assertEqual(room, claims.Quota(*quota).room)

    def test_used(self) -> None:
        self.assertEqual(6, claims.Quota(5, others=4, own=2, kept=2).used)


class LimitTest(testtools.TestCase):
    def test_the_nearest_limit(self) -> None:
        of_all, of_gpu = {'pci_flavor': 7}, {'pci_flavor:gpu': 5}
        for own, registered, limit in (
            ({}, {}, None),
            ({}, {'pci_flavor:10g': 1, 'servers': 2}, None),
            ({}, of_all, 7),
            ({'pci_flavor': 9}, of_all, 9),
            ({'pci_flavor': 9}, of_all | of_gpu, 5),
            ({'pci_flavor:gpu': 3}, of_all | of_gpu, 3),
            ({'pci_flavor:gpu': 0}, of_gpu, 0),
            ({'pci_flavor:gpu': -1}, of_all | of_gpu, None),
        ):
            self.assertEqual(limit, claims.limit_of('gpu', own, registered))


class ServersTest(testtools.TestCase):
    def test_servers(self) -> None:
        limits = {A: claims.Quota(3), B: claims.Quota(4)}
        for wanted, most, servers in (
            ([], 7, 7),
            ([(1, [C])], 7, 7),
            ([(1, [A])], 2, 2),
            ([(1, [A])], 7, 3),
            ([(2, [A])], 7, 1),
            ([(4, [A])], 7, 0),
            # Alternatives.
            ([(2, [A, B])], 7, 3),
            ([(2, [A, C])], 7, 7),
            # Together, and one of them has an alternative.
            ([(1, [A]), (1, [A])], 7, 1),
            ([(1, [A]), (3, [A, B])], 7, 1),
            ([(3, [A]), (3, [A])], 7, 0),
        ):
            self.assertEqual(
                servers, claims.servers_with_room(wanted, limits, most)
            )
            if servers < most:
                self.assertNotEqual([], claims.excesses(wanted, limits, most))

    def test_less_than_nothing_is_left(self) -> None:
        over = {A: claims.Quota(1, others=3, own=1, kept=2)}
        self.assertEqual(0, claims.servers_with_room([(1, [A])], over, 3))

    def test_excesses(self) -> None:
        limits = {A: claims.Quota(3, others=1), B: claims.Quota(9)}
        [excess] = claims.excesses([(2, [A, B]), (1, [A])], limits, 2)
        self.assertEqual(claims.Excess(A, 6, limits[A]), excess)


class DecisionTest(testtools.TestCase):
    """Alternatives that a limit has no room for are not chosen."""

    def decide(
        self, room: dict[str, int], *demands: claims.Demand
    ) -> list[str] | None:
        host = made_up.Host().add(1, 4).add(2, 4)
        decision = claims.decide(
            host.supply, demands, host.keys.__getitem__, room=room
        )
        if decision is None:
            return None
        return [pick.alternative.pci_flavor_uuid for pick in decision.picks]

    def test_alternatives(self) -> None:
        first, second = (
            made_up.want(f'r{n}', 1, [n]).alternatives[0] for n in (1, 2)
        )
        a, b = first.pci_flavor_uuid, second.pci_flavor_uuid
        either = claims.Demand('x', 2, (first, second))
        only = claims.Demand('y', 2, (first,))
        for room, demands, chosen in (
            ({}, [either], [a]),
            ({a: 2}, [either], [a]),
            ({a: 1}, [either], [b]),
            ({a: 1, b: 1}, [either], None),
            ({a: 3}, [either, only], [b, a]),
            ({a: 3}, [only, either], [a, b]),
            ({a: 4}, [either, only], [a, a]),
            ({a: 1}, [either, only], None),
            ({b: 0}, [either, only], [a, a]),
        ):
            self.assertEqual(chosen, self.decide(room, *demands))
