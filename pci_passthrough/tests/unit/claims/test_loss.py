# SPDX-License-Identifier: Apache-2.0
"""Loss: the order of hosts by the cost of a decision."""

import testtools

from pci_passthrough import claims
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import want


class LossTest(testtools.TestCase):
    def order(
        self, hosts: dict[str, made_up.Host], *demands: claims.Demand
    ) -> list[str]:
        """Return the hosts, the one that loses least first."""
        losses = {}
        for name, host in hosts.items():
            decision = host.decide(*demands)
            assert decision is not None
            losses[name] = claims.Loss.of(decision, host.keys.__getitem__)
        self.assertEqual(len(hosts), len(set(losses.values())))
        return sorted(hosts, key=losses.__getitem__)

    def test_what_is_wanted_most_goes_first(self) -> None:
        hosts = {
            'has the second': made_up.Host().add(2),
            'has the first, with tags': made_up.Host().add(1, size='big'),
        }
        self.assertEqual(
            ['has the first, with tags', 'has the second'],
            self.order(hosts, want('a', 1, [1], [2])),
        )

    def test_the_first_request_counts_for_more(self) -> None:
        hosts = {
            'worse for the first': made_up.Host().add(2).add(3),
            'worse for the second': made_up.Host().add(1).add(4),
        }
        self.assertEqual(
            ['worse for the second', 'worse for the first'],
            self.order(hosts, want('a', 1, [1], [2]), want('b', 1, [3], [4])),
        )

    def test_whole_physical_functions_are_kept(self) -> None:
        hosts = {
            'two to break': made_up.Host().family(1, {2: 1}).family(1, {2: 1}),
            'one to break': made_up.Host().family(1, {2: 2}),
            'none to break': made_up.Host().family(None, {2: 2}),
        }
        self.assertEqual(
            ['none to break', 'one to break', 'two to break'],
            self.order(hosts, want('a', 2, [2])),
        )

    def test_plain_devices_go_first(self) -> None:
        hosts = {
            'two tags': made_up.Host().add(1, size='big', san='yes'),
            'one tag': made_up.Host().add(1, size='big'),
            'no tag': made_up.Host().add(1),
        }
        self.assertEqual(
            ['no tag', 'one tag', 'two tags'],
            self.order(hosts, want('a', 1, [1])),
        )

    def test_the_cheaper_kind_goes_first(self) -> None:
        hosts = {
            'physical': made_up.Host().add(1, dev_type=made_up.PF),
            'virtual': made_up.Host().add(1, dev_type=made_up.VF, san='yes'),
            'ordinary': made_up.Host().add(1),
        }
        self.assertEqual(
            ['virtual', 'ordinary', 'physical'],
            self.order(hosts, want('a', 1, [1])),
        )

    def test_all_devices_count(self) -> None:
        hosts = {
            'tags on both': made_up.Host().add(1, 2, size='big'),
            'tags on one': made_up.Host().add(2).add(1, size='big'),
        }
        self.assertEqual(
            ['tags on one', 'tags on both'],
            self.order(hosts, want('a', 2, [1, 2])),
        )

    def test_failed_starts_count_most(self) -> None:
        host = made_up.Host().add(1, 3).add(2)
        for count, proven, expected in (
            (1, {1: 1, 2: 1}, 0),
            (2, {1: 1, 2: 1}, 1),
            (3, {1: 1, 2: 1}, 2),
            (3, {2: 1}, 3),
            (3, {1: 3}, 0),
        ):
            loss = self.sparing(host, proven, want('a', count, [1]))
            self.assertEqual(expected, loss.failed)
        other = made_up.Host().add(1, size='big', san='yes')
        better = self.sparing(other, None, want('a', 1, [1]))
        self.assertLess(better, loss.__class__(1, (0,), 0, 0, 0))

    def test_failed_starts_of_preferred_devices(self) -> None:
        """The claim takes the second alternative, which has not failed."""
        host = made_up.Host().add(1).add(2)
        loss = self.sparing(host, {2: 1}, want('a', 1, [1], [2]))
        self.assertEqual((0, (1,)), (loss.failed, loss.preferences))

    def test_failed_starts_within_a_family(self) -> None:
        """One of two PFs has failed, and both are wanted."""
        host = made_up.Host().family(1, {2: 1}).family(1, {2: 1})
        proven = claims.Supply({2: 1}, (claims.Family(1, ((2, 1),), 1),))
        decision = claims.decide_sparing(
            host.supply,
            proven,
            [want('a', 2, [1])],
            host.keys.__getitem__,
        )
        assert decision is not None
        loss = claims.Loss.of(decision, host.keys.__getitem__, proven)
        self.assertEqual(1, loss.failed)

    def sparing(
        self,
        host: made_up.Host,
        proven: dict[int, int] | None,
        demand: claims.Demand,
    ) -> claims.Loss:
        """Return the loss of a host with these devices that have not failed.

        :param proven: their numbers by pool key; None means all devices.
        """
        supply = None if proven is None else claims.Supply(proven)
        get_key = host.keys.__getitem__
        decision = claims.decide_sparing(
            host.supply, supply, [demand], get_key
        )
        assert decision is not None
        return claims.Loss.of(decision, get_key, supply)
