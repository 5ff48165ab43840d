# SPDX-License-Identifier: Apache-2.0
"""Tests of picking the concrete devices."""

import collections

import testtools

from pci_passthrough import claims
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import want


class ChooseTest(testtools.TestCase):
    def choose(
        self,
        host: made_up.Host,
        *demands: claims.Demand,
        placement: str = 'pack',
        held: dict[str, int] | None = None,
    ) -> dict[str, list[claims.Candidate]]:
        decision = host.decide(*demands)
        assert decision is not None
        return claims.choose(host.devices, decision, held or {}, placement)

    def parents(self, devices: list[claims.Candidate]) -> list[int]:
        """Return how many devices were taken of each PF, most first."""
        counts = collections.Counter(d.pf_address for d in devices)
        return sorted(counts.values(), reverse=True)

    def test_least_featured_first(self) -> None:
        host = made_up.Host().add(1, features=2).add(1).add(1, features=1)
        for count, features in ((1, [0]), (2, [0, 1]), (3, [0, 1, 2])):
            chosen = self.choose(host, want('a', count, [1]))
            self.assertEqual(features, [d.features for d in chosen['a']])

    def test_least_featured_physical_function_is_opened(self) -> None:
        host = made_up.Host().family(1, {2: 1}, features=1)
        host.family(1, {2: 1}).family(1, {2: 1}, features=2)
        chosen = self.choose(host, want('a', 2, [1]), want('b', 1, [2]))
        self.assertEqual([0, 1], [d.features for d in chosen['a']])
        self.assertEqual(host.devices[4].address, chosen['b'][0].pf_address)

    def test_placement(self) -> None:
        for pf in (None, 1):
            host = made_up.Host()
            for _ in range(3):
                host.family(pf, {2: 4})
            for placement, count, expected in (
                ('pack', 4, [4]),
                ('pack', 6, [4, 2]),
                ('spread', 3, [1, 1, 1] if pf is None else [3]),
                ('spread', 6, [2, 2, 2] if pf is None else [4, 2]),
            ):
                with self.subTest(pf=pf, placement=placement, count=count):
                    chosen = self.choose(
                        host, want('a', count, [2]), placement=placement
                    )
                    self.assertEqual(expected, self.parents(chosen['a']))

    def test_used_physical_functions(self) -> None:
        host = made_up.Host()
        for _ in range(3):
            host.family(None, {2: 2})
        addresses = [host.devices[i].pf_address or '' for i in (0, 2, 4)]
        held = {addresses[0]: 1, addresses[1]: 5}
        for placement, expected in (('pack', 1), ('spread', 2)):
            (device,) = self.choose(
                host, want('a', 1, [2]), placement=placement, held=held
            )['a']
            self.assertEqual(addresses[expected], device.pf_address)

    def test_whole_physical_function_is_broken_last(self) -> None:
        # Its own pool is not asked for: that it is on offer is enough.
        for placement in claims.VF_PLACEMENTS:
            host = made_up.Host().family(1, {2: 2}).family(None, {2: 2})
            broken = host.devices[-1].pf_address or ''
            chosen = self.choose(
                host,
                want('a', 2, [2]),
                placement=placement,
                held={broken: 3},
            )
            self.assertEqual([2], self.parents(chosen['a']))
            self.assertEqual(broken, chosen['a'][0].pf_address)

    def test_pf_and_vfs_of_different_families(self) -> None:
        host = made_up.Host().family(1, {2: 2}).family(1, {2: 2})
        chosen = self.choose(host, want('pf', 1, [1]), want('vf', 2, [2]))
        (whole,) = chosen['pf']
        self.assertTrue(whole.is_pf)
        for device in chosen['vf']:
            self.assertNotEqual(whole.pf_address, device.pf_address)
