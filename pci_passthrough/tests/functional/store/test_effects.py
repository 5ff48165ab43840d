# SPDX-License-Identifier: Apache-2.0
"""Effects of changes, compared with the changes themselves."""

from typing import Any

import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import holders
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.pci_flavors import validation
from pci_passthrough.store.views import effects
from pci_passthrough.store.views import whole_cards
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_BIG = {'size': 'big'}


class EffectTest(base.ClaimTest):
    def setUp(self) -> None:
        super().setUp()
        self.report('g', [base.gpu(1), base.gpu(2, extra_info=_BIG)])
        self.report('h', [base.gpu(1), base.gpu(2), *base.family(3, 2)])
        self.gpu = lookup.get(self.db, 'gpu')

    def effect(
        self, before: objects.PciFlavor | None, after: objects.PciFlavor | None
    ) -> effects.Effect:
        return effects.of_change(self.db, base.LIMITS, before, after)

    def changed(self, **changes: Any) -> effects.Effect:
        after = validation.changed(self.gpu, changes)
        return self.effect(self.gpu, after)

    def numbers(self, effect: effects.Effect) -> tuple[int, int, int, int]:
        return (
            effect.devices_before,
            effect.devices_after,
            effect.gained,
            effect.lost,
        )

    def test_create(self) -> None:
        flavor = validation.new(
            'new', None, {'match': [{'dev_type': 'type-VF'}]}
        )
        effect = self.effect(None, flavor)
        self.assertEqual((0, 2, 2, 0), self.numbers(effect))
        [pool] = effect.pools_gained
        self.assertEqual(
            ('h', 'type-VF', 2, 2),
            (pool.host, pool.dev_type, pool.count, pool.total),
        )
        self.assertEqual(
            ((), holders.Holders(), None),
            (effect.pools_lost, effect.stranded, effect.refusal),
        )
        # Nothing was written.
        self.assertRaises(
            exception.PciFlavorNotFound, lookup.get, self.db, 'new'
        )

    def test_whole_cards_and_slices(self) -> None:
        """Physical functions count only with virtual functions of theirs."""
        self.report('i', [*base.family(5, 2)])
        # Of this card the virtual functions are not offered.
        self.report('k', [base.pf(6, product_id='1593')])
        nic = lookup.get(self.db, 'nic')
        cards = self.effect(None, nic).whole_and_slices
        assert cards is not None
        self.assertEqual(
            (('8086:1592',), 2, 'h'), (cards.cards, cards.hosts, cards.example)
        )
        self.assertEqual(cards, whole_cards.of_flavor(self.db, nic))
        self.assertIn('(8086:1592, on 2 hosts, for example h)', str(cards))
        for name in ('pf', 'vf', 'gpu'):
            flavor = lookup.get(self.db, name)
            self.assertIsNone(whole_cards.of_flavor(self.db, flavor))
        self.assertIsNone(self.effect(nic, None).whole_and_slices)

    def test_whole_cards_and_vdpa_devices(self) -> None:
        vdpa = [base.vf(3, number, dev_type='vdpa') for number in (0, 1)]
        self.report('h', [base.pf(3), *vdpa])
        nic = lookup.get(self.db, 'nic')
        self.assertIsNotNone(whole_cards.of_flavor(self.db, nic))
        # The host refuses them.
        self.report('h', [base.pf(3)])
        self.assertIsNone(whole_cards.of_flavor(self.db, nic))

    def test_name_is_taken(self) -> None:
        flavor = validation.new('gpu', None, {'match': [{'e.a': 'b'}]})
        self.assertIn('exists', str(self.effect(None, flavor).refusal))
        self.assertIn('exists', str(self.changed(name='nic').refusal))

    def test_change(self) -> None:
        self.claim('h', base.request('gpu', count=2))
        match = [{'e.size': 'big'}, {'dev_type': 'type-VF'}]
        effect = self.changed(match=match)
        self.assertEqual((4, 3, 2, 3), self.numbers(effect))
        self.assertEqual(
            [('h', 'type-VF', 2, 2)],
            [
                (p.host, p.dev_type, p.count, p.total)
                for p in effect.pools_gained
            ],
        )
        self.assertEqual(
            [('g', 1, 1), ('h', 0, 2)],
            [(p.host, p.count, p.total) for p in effect.pools_lost],
        )
        self.assertEqual(
            (2, 1), (effect.stranded.devices, effect.stranded.instance_count)
        )
        error = self.assertRaises(
            exception.PciFlavorInUse,
            editing.update,
            self.db,
            'gpu',
            {'match': match},
        )
        self.assertEqual(error.text, effect.refusal)
        editing.update(self.db, 'gpu', {'match': match}, force=True)

    def test_change_that_strands_nothing(self) -> None:
        self.claim('g', base.request('big'))
        effect = self.changed(match=[{'e.size': 'big'}])
        self.assertEqual((4, 1, 0, 3), self.numbers(effect))
        self.assertEqual((0, None), (effect.stranded.devices, effect.refusal))
        self.assertEqual(
            (4, 4, 0, 0), self.numbers(self.changed(state='disabled'))
        )

    def test_rename(self) -> None:
        self.assertIsNone(self.changed(name='other').refusal)
        self.claim('h', base.request('gpu'))
        effect = self.changed(name='other')
        self.assertIn('renamed', str(effect.refusal))
        self.assertEqual(0, effect.stranded.devices)

    def test_delete(self) -> None:
        self.assertIsNone(self.effect(self.gpu, None).refusal)
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        effect = self.effect(self.gpu, None)
        self.assertEqual((4, 0, 0, 4), self.numbers(effect))
        self.assertEqual(holders.Holders(1, 1, (self.owner,)), effect.stranded)
        self.assertIn('force', str(effect.refusal))
        editing.delete(self.db, 'gpu', force=True)
        again = validation.new('gpu', None, {'match': self.gpu.match})
        self.assertIn('deleted', str(self.effect(None, again).refusal))
        self.free()
        self.assertIsNone(self.effect(None, again).refusal)

    def test_hosts_that_are_down_count(self) -> None:
        effect = effects.of_change(self.db, store.Limits(-60), self.gpu, None)
        self.assertEqual((4, 0, 0, 4), self.numbers(effect))
        self.assertEqual({0}, {pool.count for pool in effect.pools_lost})
