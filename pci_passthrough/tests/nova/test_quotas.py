# SPDX-License-Identifier: Apache-2.0
"""Tests of projects that have limits for PCI flavors."""

from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import nics


class QuotaTest(base.NovaTest):
    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')
        self.limits['gpu'] = 2

    def held_devices(self) -> int:
        return len([d for d in lookup.get_all(self.db) if d.instance_uuid])

    def test_create_and_resize(self) -> None:
        self.flags(allow_resize_to_same_host=True)
        self.start_host('c0', 4)
        one, two = (self.create_flavor(f'gpu:{n}') for n in (1, 2))
        server = self.boot(flavor_id=one)
        for status, text in (
            self.refused(self.boot, flavor_id=two),
            self.refused(self.boot_many, 2, one),
        ):
            self.assertEqual(403, status)
            self.assertIn(
                '"Quota exceeded for PCI flavor gpu: 2 wanted, 1 of 2 used"',
                text,
            )
        self.assertEqual(1, self.held_devices())
        # Only the difference counts.
        three = self.create_flavor('gpu:3')
        status, text = self.refused(self._resize_server, server, three)
        self.assertEqual(403, status)
        self.assertIn('gpu: 3 wanted, 1 of 2 used', text)
        server = self._resize_server(server, two)
        self._confirm_resize(server)
        self.assert_consistent('c0', server, 2)
        # Nothing is refused to a server that gives devices back.
        self.limits['gpu'] = 0
        self._confirm_resize(self._resize_server(server, one))
        self.assertEqual(1, self.held_devices())

    def test_fewer_servers(self) -> None:
        """There is room for the minimum, and not for the maximum."""
        self.start_host('c0', 4)
        body = self._build_server(
            flavor_id=self.create_flavor('gpu'), networks='none'
        )
        body |= {'min_count': 1, 'max_count': 4}
        server = self.api.post_server({'server': body})
        self._wait_for_state_change(server, 'ACTIVE')
        servers = self.api.get_servers(detail=False)
        for server in servers:
            self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(2, len(servers))

    def test_50_boots_at_a_limit_of_5(self) -> None:
        """nova-api knows of no limit, so all of them get to a host."""
        self.limits.clear()
        unlimited = {'instances': -1, 'cores': -1, 'ram': -1}
        self.flags(**unlimited, group='quota')
        self.flags(cpu_allocation_ratio=99.0, ram_allocation_ratio=99.0)
        self.start_host('c0', 8)
        body = self._build_server(
            flavor_id=self.create_flavor('gpu'), networks='none'
        )

        def limits(project_id: str, names: object) -> dict[str, int]:
            return {'gpu': 5}

        with base.replaced(self, 'last_known', limits):
            for _ in range(50):
                self.api.post_server({'server': body})
            base.wait_for(lambda: 'BUILD' not in self.states(), 'the end')
        self.assertEqual(['ACTIVE'] * 5 + ['ERROR'] * 45, self.states())
        self.assertEqual(5, self.held_devices())
        self.assertIn('the limit of the project leaves 0 gpu', self.log())

    def states(self) -> list[str]:
        return sorted(s['status'] for s in self.api.get_servers())


class NicTest(nics.NicsTest):
    def test_attach(self) -> None:
        self.distinguish_devices()
        self.start_nic_host('c0')
        server = self.boot_with({'uuid': self.net.overlay})
        self.limits['10g'] = 0
        interface = {'net_id': self.net.red, 'pci_flavor': '10g'}
        body = {'interfaceAttachment': interface}
        status, text = self.refused(
            self.api.attach_interface, server['id'], body
        )
        self.assertEqual(403, status)
        self.assertIn('10g: 1 wanted, 0 of 0 used', text)
        self.limits['10g'] = 1
        self.api.attach_interface(server['id'], body)
        self.assert_consistent('c0', server, 1)
        status, text = self.refused(
            self.api.attach_interface, server['id'], body
        )
        self.assertEqual(403, status)
        self.assertIn('10g: 1 wanted, 1 of 1 used', text)
