# SPDX-License-Identifier: Apache-2.0
"""Tests of the supply that remains after decisions."""

from collections.abc import Mapping
from collections.abc import Sequence

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import claims
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import test_brute_force
from pci_passthrough.tests.unit.claims import want


def after(
    host: made_up.Host, chosen: Mapping[str, Sequence[claims.Candidate]]
) -> claims.Supply:
    """Count the free devices of a host while some are held."""
    held = [device for devices in chosen.values() for device in devices]
    whole = {device.pf_address for device in held if device.is_pf}
    broken = {device.pf_address for device in held if not device.is_pf}
    return claims.supply_of(
        device
        for device in host.devices
        if device not in held
        and (device.pf_address is None or device.pf_address not in whole)
        and not (device.is_pf and device.pf_address in broken)
    )


def carried_out(
    host: made_up.Host, decision: claims.Decision
) -> claims.Supply:
    """Carry out a decision, and count the remaining devices."""
    return after(host, claims.choose(host.devices, decision, {}))


class WithoutTest(testtools.TestCase):
    def left(
        self, host: made_up.Host, *demands: claims.Demand
    ) -> claims.Supply:
        decision = host.decide(*demands)
        assert decision is not None
        left = claims.consume(decision)
        self.assertEqual(carried_out(host, decision), left)
        return left

    def test_pools_shrink(self) -> None:
        host = made_up.Host().add(1, 3).add(2, 1)
        self.assertEqual(
            claims.Supply({1: 1, 2: 1}), self.left(host, want('a', 2, [1]))
        )

    def test_an_empty_pool_goes(self) -> None:
        host = made_up.Host().add(1, 2).add(2)
        self.assertEqual(
            claims.Supply({2: 1}), self.left(host, want('a', 2, [1]))
        )

    def test_a_whole_physical_function_takes_its_functions_along(
        self,
    ) -> None:
        host = made_up.Host().family(1, {2: 4}).family(1, {2: 4})
        self.assertEqual(
            claims.Supply({}, (claims.Family(1, ((2, 4),), 1),)),
            self.left(host, want('a', 1, [1])),
        )

    def test_a_virtual_function_breaks_its_physical_function(self) -> None:
        host = made_up.Host().family(1, {2: 4, 3: 1}).family(1, {2: 4, 3: 1})
        self.assertEqual(
            claims.Supply(
                {2: 2, 3: 1}, (claims.Family(1, ((2, 4), (3, 1)), 1),)
            ),
            self.left(host, want('a', 2, [2])),
        )

    def test_the_next_is_broken_when_the_first_is_used_up(self) -> None:
        host = made_up.Host().family(1, {2: 4})
        host.family(1, {2: 4}).family(1, {2: 4})
        self.assertEqual(
            claims.Supply({2: 3}, (claims.Family(1, ((2, 4),), 1),)),
            self.left(host, want('a', 3, [2]), want('b', 2, [2])),
        )

    def test_functions_of_no_whole_physical_function_go_first(self) -> None:
        host = made_up.Host().family(1, {2: 4}).family(None, {2: 3})
        self.assertEqual(
            claims.Supply({2: 1}, (claims.Family(1, ((2, 4),), 1),)),
            self.left(host, want('a', 2, [2])),
        )

    def test_both_kinds_at_once(self) -> None:
        host = made_up.Host().add(1, dev_type=made_up.PF)
        host.family(1, {2: 2}).family(1, {2: 2}).family(1, {2: 2})
        self.assertEqual(
            claims.Supply({2: 1}, (claims.Family(1, ((2, 2),), 1),)),
            self.left(host, want('a', 2, [1]), want('b', 1, [2])),
        )

    @hypothesis.given(strategies.data())
    def test_against_a_new_count(self, data: strategies.DataObject) -> None:
        """Kinds of families come in the order in which they are broken."""
        families = data.draw(
            strategies.lists(
                test_brute_force.FULL_FAMILIES | test_brute_force.FAMILIES,
                max_size=4,
            )
        )
        families.sort(
            key=lambda family: (family[0] or 0, sorted(family[1].items()))
        )
        host = made_up.Host()
        for key_id in data.draw(
            strategies.lists(test_brute_force.SINGLES, max_size=4)
        ):
            host.add(key_id)
        for pf, vfs in families:
            host.family(pf, vfs)
        demands = data.draw(test_brute_force.demand_lists(sorted(host.keys)))
        decision = host.decide(*demands)
        hypothesis.assume(decision is not None)
        assert decision is not None
        self.assertEqual(carried_out(host, decision), claims.consume(decision))

    @hypothesis.given(strategies.data())
    def test_no_device_is_lost_in_any_order(
        self, data: strategies.DataObject
    ) -> None:
        """The order of families makes no difference to the remaining devices.

        But for physical functions: what is broken is known by number only.
        """
        host = data.draw(test_brute_force.hosts())
        demands = data.draw(test_brute_force.demand_lists(sorted(host.keys)))
        decision = host.decide(*demands)
        hypothesis.assume(decision is not None)
        assert decision is not None
        counted = carried_out(host, decision)
        left = claims.consume(decision)
        for key_id in (*test_brute_force.PCI_KEYS, *test_brute_force.VF_KEYS):
            self.assertEqual(counted.total({key_id}), left.total({key_id}))


class RequestsTest(testtools.TestCase):
    """Supply.requests, compared with serving the requests one by one."""

    @hypothesis.given(
        test_brute_force.hosts(),
        strategies.frozensets(
            strategies.sampled_from(test_brute_force.ALL_KEYS), min_size=1
        ),
        strategies.integers(1, 3),
    )
    def test_one_after_the_other(
        self, host: made_up.Host, key_ids: frozenset[int], count: int
    ) -> None:
        supply = host.supply
        served = 0
        demand = want('a', count, sorted(key_ids))
        while decision := claims.decide(
            supply, [demand], host.keys.__getitem__
        ):
            supply = claims.consume(decision)
            served += 1
        self.assertEqual(served, host.supply.requests(key_ids, count))

    def test_physical_functions_together_with_their_functions(self) -> None:
        host = made_up.Host().family(1, {2: 3}).family(1, {3: 2}).add(4)
        for key_ids, count, expected in (
            ({1}, 1, 2),
            ({1, 2}, 1, 4),
            ({1, 2}, 2, 2),
            ({1, 2, 3}, 1, 5),
            ({1, 2, 3, 4}, 4, 1),
            ({5}, 1, 0),
        ):
            self.assertEqual(expected, host.supply.requests(key_ids, count))
