# SPDX-License-Identifier: Apache-2.0
"""Tests of moving and restarting servers with NICs of PCI flavors."""

from collections.abc import Mapping
from typing import Any

from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver

from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import nics

#: Another image than that of the servers.
_IMAGE = 'a2459075-d96c-40d5-893e-577ff92e721c'


class NicMovesTest(nics.NicsTest):
    """Servers with all kinds of NICs, and hosts to move between.

    The hosts differ in addresses and in all facts that Neutron gets.

    :ivar port: the user's port.
    """

    def setUp(self) -> None:
        super().setUp()
        self.distinguish_devices()
        self.flags(device_detach_timeout='1', group='libvirt')
        self.create_pci_flavor('25g', nics.VF, vnic_type='direct')
        self.create_pci_flavor('whole', nics.PF, vnic_type='direct-physical')
        self.create_pci_flavor('gpu')

    def two_hosts(self, **arguments: Any) -> None:
        self.start_nic_host('c0', bus=0x81, **arguments)
        self.start_nic_host('c1', bus=0x82, **arguments)

    def boot_on(self, host: str, **arguments: Any) -> dict[str, Any]:
        """Create a server with a NIC by network, one by port, and a PF.

        The NIC of the PF is on an overlay, where no other NIC needs a VF.
        """
        self.port = self.net.port(self.net.blue, 'direct', 'pci-flavor=25g')
        return self.boot_with(
            self.nic(self.net.red, '10g'),
            {'uuid': self.net.red},
            {'port': self.port['id']},
            self.nic(self.net.overlay, 'whole'),
            host=host,
            **arguments,
        )

    def assert_moved(
        self, server: Mapping[str, Any], host: str, others: int = 0
    ) -> dict[str, str]:
        """Check that a server is on a host, with a device for each NIC.

        :param others: number of further devices.
        :returns: id of a port to address of its device.
        """
        self.assertEqual(host, self.host_of(server))
        self.assert_consistent(host, server, 3 + others)
        addresses = self.assert_nics(host, server)
        self.assertEqual(3, len(addresses))
        self.assertIn(self.port['id'], addresses)
        self.assertEqual(1 + others, len(self.hostdevs(host, server)))
        return addresses

    def delete(self, server: Mapping[str, Any], *hosts: str) -> None:
        """Delete a server; check that only the user's port is left."""
        self._delete_server(server)
        self.assert_clean(*hosts)
        self.assert_only_users_port_left()

    def assert_only_users_port_left(self) -> None:
        """Check that the user's port is left, unbound, with its vNIC type."""
        networks = {self.net.red, self.net.blue, self.net.overlay}
        self.assertEqual(
            [self.port['id']],
            [
                port['id']
                for port in self.net.list_ports(True)['ports']
                if port['network_id'] in networks
            ],
        )
        port = self.net.show_port(self.port['id'])['port']
        self.assertFalse(port['binding:host_id'])
        self.assertEqual({}, self.profile(port))
        self.assertEqual('direct', port['binding:vnic_type'])


class TestColdMoves(NicMovesTest):
    """Cold migration and resize, reverted and confirmed."""

    def test_migrate(self) -> None:
        """A server with NICs and with devices of its Nova flavor."""
        self.two_hosts(gpus=1)
        flavor = self.create_flavor('gpu:1')
        server = self.boot_on('c0', flavor_id=flavor)
        before = self.assert_moved(server, 'c0', 1)
        self._migrate_server(server)
        self.assert_moved(server, 'c1', 1)
        self.assert_consistent('c0', server, 4)
        self._revert_resize(server)
        self.assertEqual(before, self.assert_moved(server, 'c0', 1))
        self.assert_clean('c1')
        self._migrate_server(server)
        self.run_periodic_tasks()
        self._confirm_resize(server)
        self.assert_clean('c0')
        self.assert_moved(server, 'c1', 1)
        self.delete(server, 'c0', 'c1')

    def test_resize_within_the_host(self) -> None:
        """Each NIC has two devices until the resize is confirmed."""
        self.flags(allow_resize_to_same_host=True)
        self.start_nic_host('c0', gpus=2)
        # Without a NIC on the overlay: only one PF is for it.
        self.port = self.net.port(self.net.blue, 'direct', 'pci-flavor=25g')
        server = self.boot_with(
            self.nic(self.net.red, '10g'),
            {'uuid': self.net.red},
            {'port': self.port['id']},
        )
        before = self.assert_nics('c0', server)
        self._resize_server(server, self.create_flavor('gpu:1'))
        self.assert_consistent('c0', server, 5)
        self.run_periodic_tasks()
        after = self.assert_nics('c0', server)
        self.assertEqual(before.keys(), after.keys())
        self.assertEqual(set(), set(before.values()) & set(after.values()))
        self._revert_resize(server)
        self.assert_consistent('c0', server, 2)
        self.assertEqual(before, self.assert_nics('c0', server))
        self.assertEqual([], self.hostdevs('c0', server))
        self._resize_server(server, self.create_flavor('gpu:2'))
        self._confirm_resize(server)
        self.assert_consistent('c0', server, 4)
        self.assertEqual(after, self.assert_nics('c0', server))
        self.assertEqual(2, len(self.hostdevs('c0', server)))
        self.delete(server, 'c0')


class TestLiveMigration(NicMovesTest):
    """Nova detaches the NICs before, and attaches others after."""

    def test_there_and_back(self) -> None:
        """The ports get all facts of their new devices."""
        self.two_hosts()
        server = self.boot_on('c0')
        first = self.boot_with(
            self.nic(self.net.red), self.nic(self.net.blue), host='c1'
        )
        before = self.assert_moved(server, 'c0')
        self._live_migrate(server, 'completed')
        after = self.assert_moved(server, 'c1')
        port_id = self.port['id']
        self.assertNotEqual(
            nics.number_of(before[port_id]), nics.number_of(after[port_id])
        )
        self.assert_clean('c0')
        self.run_periodic_tasks()
        self._live_migrate(server, 'completed')
        self.assertEqual(before, self.assert_moved(server, 'c0'))
        self._delete_server(first)
        self.delete(server, 'c0', 'c1')

    def test_with_numa(self) -> None:
        """Nova makes a move claim."""
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.two_hosts()
        flavor = self.create_flavor(None, hw__cpu_policy='dedicated')
        server = self.boot_on('c0', flavor_id=flavor)
        self._live_migrate(server, 'completed')
        self.assert_moved(server, 'c1')
        self.assert_clean('c0')
        self.delete(server, 'c0', 'c1')

    def test_failed(self) -> None:
        """The server keeps its devices; those of the destination are freed."""
        self.two_hosts()
        server = self.boot_on('c0')
        before = self.assert_moved(server, 'c0')

        def refuse(*_args: Any, **_kwargs: Any) -> None:
            self.assertEqual(3, len(self.held('c1')))
            raise RuntimeError('the host is not ready')

        def give_up(domain: Any, *_args: Any, **_kwargs: Any) -> None:
            self.assertEqual(3, len(self.held('c1')))
            # Its NICs are detached already.
            self.assertEqual(1, len(self.interfaces('c0', server)))
            domain.fail_job()

        for owner, name, value in (
            (driver.LibvirtDriver, 'pre_live_migration', refuse),
            (fakelibvirt.Domain, 'migrateToURI3', give_up),
        ):
            with base.replaced(owner, name, value):
                self._live_migrate(server, 'failed')
            self.run_periodic_tasks()
            self.assert_clean('c1')
            self.assertEqual(before, self.assert_moved(server, 'c0'))
        self.delete(server, 'c0', 'c1')


class TestOtherMoves(NicMovesTest):
    """Evacuation, shelving, and restarts on the same host."""

    def test_evacuate(self) -> None:
        """The dead host frees its devices at its restart."""
        self.two_hosts()
        server = self.boot_on('c0')
        self.force_down('c0')
        self._evacuate_server(server)
        self._start_server(server)
        self.assert_moved(server, 'c1')
        self.assert_consistent('c0', server, 3)
        self.restart('c0')
        self.assert_clean('c0')
        self.assert_moved(server, 'c1')
        self.delete(server, 'c0', 'c1')

    def test_shelve_and_unshelve(self) -> None:
        """An unshelved server keeps its ports, and gets other devices."""
        self.two_hosts()
        server = self.boot_on('c0')
        before = self.assert_moved(server, 'c0')
        self._shelve_server(server)
        self.assert_clean('c0')
        self.disable_host('c0')
        self._unshelve_server(server)
        after = self.assert_moved(server, 'c1')
        self.assertEqual(before.keys(), after.keys())
        self.delete(server, 'c0', 'c1')

    def test_restarts_on_its_host(self) -> None:
        """A restarted server keeps its devices, and nothing is claimed."""
        self.start_nic_host('c0')
        server = self.boot_on('c0')
        before = self.assert_moved(server, 'c0')
        self.forget_calls()
        self._rebuild_server(server, _IMAGE)
        self.assertEqual(before, self.assert_moved(server, 'c0'))
        self._stop_server(server)
        self.restart('c0')
        self._start_server(server)
        self.assertEqual(before, self.assert_moved(server, 'c0'))
        self._reboot_server(server, hard=True)
        self.assertEqual(before, self.assert_moved(server, 'c0'))
        self.assertNotIn('claim', self.wire.calls)
        self.delete(server, 'c0')
