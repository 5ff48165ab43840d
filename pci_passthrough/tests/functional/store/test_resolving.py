# SPDX-License-Identifier: Apache-2.0
"""What the names in requests stand for."""

import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import pci_flavors
from pci_passthrough.store import resolving
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class ResolveTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.nic = pci_flavors.create(
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
                )
            ],
            second.alternatives,
        )
        self.assertEqual([], self.resolve())

    def test_what_a_project_may_not_use_does_not_exist(self) -> None:
        for project, found in (('p1', True), (None, True), ('p2', False)):
            if found:
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
        pci_flavors.update(self.db, 'big', {'state': 'disabled'})
        pci_flavors.update(self.db, 'gpu', {'state': 'deprecated'})
        [request] = self.resolve(base.request('big', 'gpu'))
        self.assertEqual(['gpu'], [a.name for a in request.alternatives])
        error = self.assertRaises(
            exception.InvalidRequest, self.resolve, base.request('big')
        )
        self.assertIn('disabled', error.text)
        [request] = self.resolve(
            base.request('big', 'gpu'), take_disabled=True
        )
        self.assertEqual(
            ['big', 'gpu'], [a.name for a in request.alternatives]
        )

    def test_malformed(self) -> None:
        for request in (base.request('gpu', count=65), base.request()):
            self.assertRaises(exception.InvalidRequest, self.resolve, request)
