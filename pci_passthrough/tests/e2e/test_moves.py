# SPDX-License-Identifier: Apache-2.0
"""Tests of moving instances with devices to another host.

The hosts share the folder of the instances, so that Nova copies no files and
needs no ssh between them.
"""

from typing import Any

from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import processes


class MoveTestCase(base.CloudTestCase):
    """Cold migration and resize."""

    def setUp(self) -> None:
        super().setUp()
        self.gpu = self.create_pci_flavor('e.group=gpu')
        self.flavor = self.create_flavor(pci_flavor=self.gpu)

    def _migrated(self, server: Any) -> Any:
        self.compute.migrate_server(server.id)
        return self.wait_for_status(server, 'VERIFY_RESIZE')

    def _hosts_of(self, server: Any) -> list[str]:
        return sorted(host for host, _ in self.views.ours()[server.id])

    def test_migrate_and_confirm(self) -> None:
        server = self.boot(self.flavor)
        moved = self._migrated(server)
        self.assertNotEqual(server.compute_host, moved.compute_host)
        # Until the confirmation, it holds a device on both hosts.
        self.assertEqual(sorted(self.cloud.hosts), self._hosts_of(server))
        self.compute.confirm_server_resize(server.id)
        self.wait_for_status(server, 'ACTIVE')
        processes.wait_for(
            lambda: self._hosts_of(server) == [moved.compute_host],
            'the device of the source freed',
        )
        self.assert_holdings(server)

    def test_migrate_and_revert(self) -> None:
        server = self.boot(self.flavor)
        held = self.views.ours()
        self._migrated(server)
        self.compute.revert_server_resize(server.id)
        self.wait_for_status(server, 'ACTIVE')
        self.wait_for_holdings(held)

    def test_resize_to_more_devices(self) -> None:
        server = self.boot(self.flavor)
        more = self.create_flavor(pci_flavor=f'{self.gpu}:2')
        self.compute.resize_server(server.id, more)
        self.wait_for_status(server, 'VERIFY_RESIZE')
        self.compute.confirm_server_resize(server.id)
        self.wait_for_status(server, 'ACTIVE')
        processes.wait_for(
            lambda: len(self._hosts_of(server)) == 2, 'two devices only'
        )
        self.assert_holdings(server, number=2)

    def test_stop_and_start(self) -> None:
        server = self.boot(self.flavor)
        held = self.views.ours()
        self.compute.stop_server(server.id)
        self.wait_for_status(server, 'SHUTOFF')
        self.wait_for_holdings(held)
        self.compute.start_server(server.id)
        self.wait_for_status(server, 'ACTIVE')
        self.wait_for_holdings(held)

    def test_shelve_and_unshelve(self) -> None:
        server = self.boot(self.flavor)
        self.shelve_and_unshelve(server)
        self.assert_holdings(server)


class EvacuationTestCase(base.CloudTestCase):
    """A host fails, and returns after its instances were evacuated."""

    def setUp(self) -> None:
        super().setUp()
        gpu = self.create_pci_flavor('e.group=gpu')
        self.flavor = self.create_flavor(pci_flavor=gpu)
        self.dead, self.other = self.cloud.hosts.values()

    def test_evacuate(self) -> None:
        server = self.boot(self.flavor, self.dead.name)
        self.evacuate(server, self.dead)
        self.assertIn(server.id, self.other.attached())
        self.assert_holdings_in_the_end(server)

    def test_evacuate_with_nic(self) -> None:
        nic = self.create_pci_flavor('e.group=nic')
        networks = [{'uuid': self.cloud.networks['net1'], 'pci_flavor': nic}]
        server = self.boot(self.flavor, self.dead.name, networks)
        self.evacuate(server, self.dead)
        self.assertIn(server.id, self.other.attached())
        self.assert_holdings_in_the_end(server, number=2)
        # Since microversion 2.95 an evacuated instance is not started.
        self.compute.start_server(server.id)
        self.wait_for_status(server, 'ACTIVE')
        self.wait_for_ports(server)
        bound = self.views.ports()[server.id]
        self.assertEqual({self.other.name}, {host for host, _ in bound})
        self.assertLessEqual(bound, self.views.ours()[server.id])

    def assert_holdings_in_the_end(self, server: Any, number: int = 1) -> None:
        """Wait until the instance holds devices on its new host only."""
        processes.wait_for(
            lambda: len(self.views.ours()[server.id]) == number,
            'the devices of the dead host freed',
            blame=lambda: str(self.views.all()),
        )
        self.assert_holdings(server, number=number)
