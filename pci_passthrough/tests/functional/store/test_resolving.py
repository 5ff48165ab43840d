# SPDX-License-Identifier: Apache-2.0
"""Resolving the PCI flavors that requests name."""

from typing import Any

import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import pool_keys
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class ResolveTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.nic = editing.create(
            self.db,
            'moving',
            'p1',
            match=[{'vendor_id': '8086', 'e.live_migratable': 'yes'}],
            vnic_type='direct',
            numa_policy='required',
            is_public=False,
        )

    def resolve(
        self, *requests: objects.PciRequest, **arguments: object
    ) -> list[objects.ResolvedRequest]:
        return resolving.resolve(
            self.db,
            requests,
            **arguments,  # type: ignore[arg-type]
        )

    def test_what_names_stand_for(self) -> None:
        gpu, nic = (
            base.request('big', 'gpu', count=2),
            base.request(self.nic.uuid),
        )
        first, second = self.resolve(gpu, nic)
        self.assertEqual(
            [(gpu.request_id, 2), (nic.request_id, 1)],
            [(r.request_id, r.count) for r in (first, second)],
        )
        self.assertEqual(
            [('big', None, None, False), ('gpu', None, None, False)],
            [
                (a.name, a.numa_policy, a.vnic_type, a.live_migratable)
                for a in first.alternatives
            ],
        )
        self.assertEqual(
            [
                objects.PciAlternative(
                    uuid=self.nic.uuid,
                    name='moving',
                    numa_policy='required',
                    vnic_type='direct',
                    live_migratable=True,
                    trusted=False,
                )
            ],
            second.alternatives,
        )
        self.assertEqual([], self.resolve())

    def test_what_a_project_may_not_use_does_not_exist(self) -> None:
        for project, is_visible in (('p1', True), (None, True), ('p2', False)):
            if is_visible:
                self.resolve(base.request('moving'), project_id=project)
                continue
            self.assertRaises(
                exception.PciFlavorNotFound,
                self.resolve,
                base.request('moving'),
                project_id=project,
            )
        self.assertRaises(
            exception.PciFlavorNotFound, self.resolve, base.request('nope')
        )

    def test_states(self) -> None:
        editing.update(self.db, 'big', {'state': 'disabled'})
        editing.update(self.db, 'gpu', {'state': 'deprecated'})
        [request] = self.resolve(base.request('big', 'gpu'))
        self.assertEqual(['gpu'], [a.name for a in request.alternatives])
        error = self.assertRaises(
            exception.InvalidRequest, self.resolve, base.request('big')
        )
        self.assertIn('disabled', error.text)
        self.assertNotIn('right would be', error.text)
        [request] = self.resolve(
            base.request('big', 'gpu'), take_disabled=True
        )
        self.assertEqual(
            ['big', 'gpu'], [a.name for a in request.alternatives]
        )

    def test_malformed(self) -> None:
        for request in (base.request('gpu', count=65), base.request()):
            self.assertRaises(exception.InvalidRequest, self.resolve, request)


class NicTest(base.StoreTest):
    """Requests for NICs get a vnic_type."""

    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        for name, vnic_type in (('macvtap', 'macvtap'), ('direct', 'direct')):
            editing.create(
                self.db,
                name,
                None,
                match=[{'vendor_id': '8086'}],
                vnic_type=vnic_type,
            )

    def vnic_type(
        self, name: str, vnic_type: str | None = None, **arguments: Any
    ) -> str | None:
        """Return the vnic_type that a NIC gets."""
        requests = [base.nic_request(name, vnic_type, ['physnet1'])]
        [resolved] = resolving.resolve(self.db, requests, **arguments)
        [alternative] = resolved.alternatives
        self.assertEqual(name, alternative.name)
        settled: str | None = alternative.vnic_type
        return settled

    def refused(self, name: str, *arguments: Any) -> str:
        error = self.assertRaises(
            exception.InvalidRequest, self.vnic_type, name, *arguments
        )
        self.assertNotIn('physnet', error.text)
        return error.reason

    def test_the_pci_flavors(self) -> None:
        for own in ('macvtap', 'direct'):
            # No device is known yet, and the operator has said so.
            self.assertEqual(own, self.vnic_type(own))
            self.assertEqual(own, self.vnic_type(own, own))
        self.assertEqual(
            'PCI flavor macvtap is for NICs of vnic_type macvtap, not direct',
            self.refused('macvtap', 'direct'),
        )

    def test_the_pci_flavor_has_none(self) -> None:
        self.assertIn('nic matches no network device', self.refused('nic'))
        self.report('h', [base.gpu(1), *base.family(3, 1)])
        self.assertEqual('direct', self.vnic_type('nic'))
        for vnic_type in objects.fields.VnicType.ALL:
            self.assertEqual(vnic_type, self.vnic_type('nic', vnic_type))
        self.assertIn('gpu matches no network device', self.refused('gpu'))
        self.assertIn('matches no network', self.refused('gpu', 'direct'))
        # A mixture has a network device.
        match = [{'vendor_id': '10de'}, {'vendor_id': '8086'}]
        editing.create(self.db, 'both', None, match=match)
        self.assertEqual('direct', self.vnic_type('both'))

    def test_the_pci_flavor_is_for_nics_and_of_gpus(self) -> None:
        match = [{'vendor_id': '10de'}]
        editing.create(self.db, 'odd', None, match=match, vnic_type='direct')
        self.assertEqual('direct', self.vnic_type('odd'))
        self.report('h', [base.gpu(1)])
        self.assertIn('odd matches no network', self.refused('odd'))

    def test_devices_in_any_state(self) -> None:
        self.report('h', [base.vf(3, 0)])
        self.claim('h', base.request('vf'))
        self.assertEqual('direct', self.vnic_type('vf'))
        self.report('h', [], withdrawn=['0000:03:01.0'])
        self.assertEqual('direct', self.vnic_type('vf'))

    def test_devices_that_are_gone(self) -> None:
        self.report('h', [base.vf(3, 0)])
        self.assertEqual('direct', self.vnic_type('vf'))
        self.report('h', [])
        pool_keys.purge(self.db)
        self.assertIn('no network device', self.refused('vf'))

    def test_other_requests_have_the_pci_flavors(self) -> None:
        requests = [
            base.request('nic'),
            base.request('gpu', 'macvtap'),
            base.request('direct').replace(nic=None),
        ]
        resolved = resolving.resolve(self.db, requests)
        self.assertEqual(
            [[None], [None, 'macvtap'], ['direct']],
            [
                [a.vnic_type for a in request.alternatives]
                for request in resolved
            ],
        )

    def test_who_may_use_it(self) -> None:
        editing.update(
            self.db, 'direct', {'is_public': False, 'access': ['p1']}
        )
        self.assertEqual('direct', self.vnic_type('direct', project_id='p1'))
        for arguments in ({'project_id': 'p2'}, {}):
            name = 'direct' if arguments else 'nope'
            self.assertRaises(
                exception.PciFlavorNotFound,
                self.vnic_type,
                name,
                **arguments,
            )

    def test_disabled(self) -> None:
        editing.update(self.db, 'direct', {'state': 'disabled'})
        self.assertIn('disabled', self.refused('direct'))
        self.assertEqual(
            'direct', self.vnic_type('direct', take_disabled=True)
        )

    def test_malformed(self) -> None:
        request = base.nic_request('direct')
        for wrong in (
            request.replace(count=2),
            request.replace(pci_flavors=['direct', 'macvtap']),
            base.nic_request('direct', None, ['']),
        ):
            self.assertRaises(
                exception.InvalidRequest,
                resolving.resolve,
                self.db,
                [wrong],
            )
