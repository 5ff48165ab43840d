# SPDX-License-Identifier: Apache-2.0
"""Devices for NICs: of the PCI flavor, and on the NIC's network."""

import testscenarios

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.views import explanations
from pci_passthrough.store.views import supply_snapshots
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_ON_1, _ON_2 = ({'physical_network': f'physnet{n}'} for n in (1, 2))

#: What serves a NIC on physnet1, on physnet2 and on an overlay network.
_VF_1, _VF_2, _VF_NONE = (f'0000:{bus:02x}:01.0' for bus in (1, 2, 3))
_PF_1, _PF_2, _PF_NONE = (f'0000:{bus:02x}:00.0' for bus in (1, 2, 3))


class _NicTest(base.ClaimTest):
    """A host with two physical networks, and a GPU that is on one of them."""

    def setUp(self) -> None:
        super().setUp()
        self.report(
            'h',
            [
                *base.family(1, 1, extra_info=_ON_1),
                *base.family(2, 1, extra_info=_ON_2),
                *base.family(3, 1),
                base.gpu(4, dev_type='type-VF', extra_info=_ON_1),
            ],
        )
        # By class, too, a PCI flavor can match more than network devices.
        match = [{'vendor_id': '8086'}, {'vendor_id': '10de'}]
        editing.create(self.db, 'any', None, match=match)

    def offer(self, *requests: objects.PciRequest) -> claims.SupplySnapshot:
        return supply_snapshots.get(self.db, base.LIMITS, requests, ['h'])


class ClaimTest(_NicTest):
    def test_the_device_on_the_network(self) -> None:
        for vnic_type, networks, expected in (
            ('direct', ['physnet1'], [_VF_1]),
            ('direct', ['physnet2'], [_VF_2]),
            ('macvtap', ['other', 'physnet2'], [_VF_2]),
            ('direct', [], [_VF_NONE]),
            ('direct-physical', ['physnet1'], [_PF_1]),
            ('direct-physical', ['physnet2', 'other'], [_PF_2]),
            ('direct-physical', [], [_PF_NONE]),
        ):
            for name in ('nic', 'any'):
                request = base.nic_request(name, vnic_type, networks)
                self.assertIsNotNone(self.offer(request).decide('h'))
                claimed = self.claim('h', request, instance_uuid=self.owner)
                self.assertEqual(expected, base.addresses(claimed))
                again = self.claim('h', request, instance_uuid=self.owner)
                self.assertEqual(claimed, again)
                self.free()

    def test_several_nics(self) -> None:
        requests = [
            base.nic_request('nic', 'direct', ['physnet2']),
            base.nic_request('nic', 'direct', ['physnet1', 'physnet2']),
            base.nic_request('nic', 'direct'),
            base.request('gpu'),
        ]
        claimed = self.claim('h', *requests)
        by_request = {d.request_id: d.address for d in claimed}
        self.assertEqual(
            [_VF_2, _VF_1, _VF_NONE, '0000:04:00.0'],
            [by_request[request.request_id] for request in requests],
        )

    def test_other_requests_take_any(self) -> None:
        self.assertEqual(3, len(self.claim('h', base.request('vf', count=3))))

    def test_pf_and_vfs_exclude_each_other(self) -> None:
        vf = base.nic_request('nic', 'direct', ['physnet1'])
        pf = base.nic_request('nic', 'direct-physical', ['physnet1'])
        name = "nic on the NIC's network"
        for first, second in ((vf, pf), (pf, vf)):
            self.assertIsNone(self.offer(first, second).decide('h'))
            self.claim('h', first, instance_uuid=self.owner)
            self.assertEqual(
                [(name, 'all_held', 1, 0)], self.refused('h', second)
            )
            self.assertEqual('none_free', self.offer(second).refusal('h'))
            self.free()

    def test_refusals(self) -> None:
        name = "nic on the NIC's network"
        for vnic_type, networks in (
            ('direct', ['physnet3']),
            ('direct', ['Physnet1']),
            ('vdpa', ['physnet1']),
        ):
            request = base.nic_request('nic', vnic_type, networks)
            self.assertEqual(
                [(name, 'no_match', 1, 0)], self.refused('h', request)
            )
        request = base.nic_request('gpu', 'direct', ['physnet1'])
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, 'h', request
        )
        self.assertEqual(
            "1 host: no device matches gpu on the NIC's network", error.text
        )

    def test_projects_read_no_physical_network(self) -> None:
        request = base.nic_request('nic', 'direct', ['physnet1'])
        self.claim('h', request)
        other = request.replace(request_id=base.new_id())
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, 'h', other
        )
        self.assertEqual(
            "1 host: no free nic on the NIC's network", error.text
        )
        self.assertNotIn('physnet', ''.join(r.detail for r in error.reasons))

    def test_vnic_type_has_to_be_settled(self) -> None:
        request = base.nic_request('nic', None, ['physnet1'])
        for ask in (self.offer, lambda request: self.claim('h', request)):
            error = self.assertRaises(exception.InvalidRequest, ask, request)
            self.assertIn('vnic_type', error.reason)


class ExplainTest(_NicTest):
    def explain(
        self, name: str, vnic_type: str, *networks: str, count: int = 1
    ) -> claims.HostAnswer:
        explained = explanations.explain(
            self.db,
            base.LIMITS,
            lookup.get(self.db, name),
            count,
            nic=objects.RequestedNic(
                vnic_type=vnic_type, physical_networks=list(networks)
            ),
        )
        [answer] = explained.hosts
        return answer

    def near_misses(
        self, name: str, vnic_type: str, *networks: str
    ) -> list[tuple[int, str, str, str, str | None]]:
        return [
            (miss.devices, miss.pool, miss.key, miss.wanted, miss.actual)
            for miss in self.explain(name, vnic_type, *networks).near_misses
        ]

    def test_what_serves(self) -> None:
        for vnic_type, networks, left in (
            ('direct', ['physnet1'], 1),
            ('direct', ['physnet1', 'physnet2'], 2),
            ('direct', [], 1),
            ('direct-physical', ['physnet2'], 1),
            ('direct', ['physnet3'], 0),
            ('vdpa', ['physnet1'], 0),
        ):
            answer = self.explain('any', vnic_type, *networks)
            self.assertEqual((left > 0, left), (answer.serves, answer.left))

    def test_words(self) -> None:
        answer = self.explain('nic', 'direct', 'physnet3')
        self.assertEqual(
            ('no_match', "no device matches nic on the NIC's network"),
            (answer.condition, answer.text),
        )
        answer = self.explain('nic', 'direct', 'physnet1', count=2)
        self.assertEqual(
            ('too_few', "1 free nic on the NIC's network, 2 needed"),
            (answer.condition, answer.text),
        )

    def test_as_a_claim(self) -> None:
        self.claim(
            'h', base.nic_request('pf', 'direct-physical', ['physnet2'])
        )
        for vnic_type, networks in (
            ('direct', ['physnet2']),
            ('direct', ['physnet3']),
            ('vdpa', ['physnet1']),
        ):
            answer = self.explain('nic', vnic_type, *networks)
            request = base.nic_request('nic', vnic_type, networks)
            error = self.assertRaises(
                exception.ClaimRefused, self.claim, 'h', request
            )
            [reason] = error.reasons
            self.assertEqual(
                (reason.condition, reason.needed, reason.left, reason.detail),
                (answer.condition, answer.needed, answer.left, answer.detail),
            )

    def test_near_misses(self) -> None:
        vf, network = '8086:1889 type-VF NUMA 0', 'e.physical_network'
        pf = '8086:1592 type-PF NUMA 0'
        self.assertCountEqual(
            [
                (1, vf, network, '["physnet3"]', actual)
                for actual in ('physnet1', 'physnet2', None)
            ],
            self.near_misses('vf', 'direct', 'physnet3'),
        )
        self.report('h', base.family(1, 1, extra_info=_ON_1))
        self.assertEqual(
            [(1, vf, network, 'null', 'physnet1')],
            self.near_misses('nic', 'direct'),
        )
        self.assertEqual(
            [
                (1, pf, 'dev_type', '"type-VF"', 'type-PF'),
                (1, vf, 'product_id', '"1592"', '1889'),
            ],
            self.near_misses('pf', 'direct', 'physnet1'),
        )

    def test_near_misses_of_both(self) -> None:
        """A pool fails by the match expression, by the NIC, or by both."""
        match = [{'dev_type': 'type-VF', 'e.group': '10g'}]
        editing.create(self.db, '10g', None, match=match)
        tags = {'group': '10g', **_ON_1}
        self.report('h', [base.pf(1, extra_info=tags)])
        # Both want it.
        self.assertEqual(
            [('dev_type', '"type-VF"', 'type-PF')],
            [m[2:] for m in self.near_misses('10g', 'direct', 'physnet1')],
        )
        self.assertEqual([], self.near_misses('10g', 'direct', 'physnet2'))
        self.report('h', base.family(1, 1, extra_info=_ON_1))
        self.assertEqual(
            [('e.group', '"10g"', None)],
            [m[2:] for m in self.near_misses('10g', 'direct', 'physnet1')],
        )


class OfferTest(_NicTest):
    def test_what_is_offered(self) -> None:
        request = base.nic_request('nic', 'direct', ['physnet1'])
        offer = self.offer(request)
        [demand] = offer.demands
        [alternative] = demand.alternatives
        self.assertEqual("nic on the NIC's network", alternative.name)
        self.assertEqual(
            [('type-VF', (('physical_network', 'physnet1'),))],
            [(k.dev_type, k.extra_info) for k in offer.keys.values()],
        )
        self.assertEqual({'h'}, set(offer.supplies))
        self.assertEqual(
            offer, claims.SupplySnapshot.from_wire(offer.to_wire())
        )

    def test_refused(self) -> None:
        offer = self.offer(base.nic_request('nic', 'direct', ['physnet3']))
        self.assertIsNone(offer.decide('h'))
        self.assertEqual(
            {
                claims.FailedCondition(
                    "no free nic on the NIC's network", 'none_free', 'nic'
                ): ['h']
            },
            offer.refused(['h']),
        )

    def test_explained(self) -> None:
        request = base.nic_request('nic', 'vdpa', ['physnet1'])
        demands = resolving.demands(self.db, [request])
        [reason] = explanations.refusals(self.db, base.LIMITS, demands)
        self.assertEqual(
            (fields.RefusalCondition.NO_MATCH, "nic on the NIC's network"),
            (reason.condition, reason.pci_flavor),
        )
