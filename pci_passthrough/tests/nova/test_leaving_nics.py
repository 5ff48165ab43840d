# SPDX-License-Identifier: Apache-2.0
"""Tests of leaving PCI flavors with NICs, and of coming back."""

from collections.abc import Mapping
from typing import Any

from nova.tests.fixtures import libvirt as fakelibvirt
from oslo_serialization import jsonutils

from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.nova import leaving
from pci_passthrough.tests.nova import nics

_DEVICE_SPEC = jsonutils.dumps(
    {
        'vendor_id': fakelibvirt.PCI_VEND_ID,
        'product_id': fakelibvirt.VF_PROD_ID,
        'physical_network': 'physnet-red',
    }
)


class NicLeavingTest(leaving.LeavingTest, nics.NicsTest):
    """Servers with NICs by PCI flavors on two hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.start_nic_host('c0', bus=0x81)
        self.start_nic_host('c1', bus=0x82)
        self.devices = {
            host: lookup.get_all(self.db, host) for host in self.computes
        }

    def profiles(self, server: Mapping[str, Any]) -> set[str]:
        """Return the addresses that the ports of a server are bound to."""
        return {
            self.profile(port)['pci_slot']
            for port in self.ports(server)
            if port['binding:vnic_type'] != 'normal'
        }

    def test_there_and_back(self) -> None:
        """Nova asks for the physical network of the port, then we do."""
        port = self.net.port(self.net.red, 'direct', 'pci-flavor=10g')
        server = self.boot_with(
            self.nic(self.net.red), {'port': port['id']}, host='c0'
        )
        before = self.requests_of(server)
        addresses = self.profiles(server)
        code, rows = self.manage('leave', '--apply')
        self.assertEqual((0, {server['id']}), (code, set(rows)))
        self.assertEqual((0, {}), self.manage('leave'))

        self.flags(device_spec=[_DEVICE_SPEC], group='pci')
        for host, devices in self.devices.items():
            gone = [device.address for device in devices]
            self.report(host, [], withdrawn=gone)
            self.restart(host)
        self.restart_without_plugin()
        self.assertEqual(addresses, self.profiles(server))
        self._migrate_server(server)
        self._wait_for_state_change(server, 'VERIFY_RESIZE')
        self._confirm_resize(server)
        self.assertEqual('c1', self.host_of(server))
        self.assertEqual(2, len(self.profiles(server)))
        self.assertEqual(
            {'0000:82'}, {text[:7] for text in self.profiles(server)}
        )

        bootstrap.install()
        self.restart_scheduler()
        self.flags(device_spec=[], group='pci')
        for host, devices in self.devices.items():
            self.report(host, devices)
            self.restart(host)
        _, rows = self.manage('return', '--apply')
        self.assertIn(server['id'], rows)
        self.assertEqual((0, {}), self.manage('return'))
        after = self.requests_of(server)
        self.assertEqual(
            [request.spec for request in before],
            [request.spec for request in after],
        )
        self.assert_consistent('c1', server, 2)
        self._migrate_server(server)
        self._wait_for_state_change(server, 'VERIFY_RESIZE')
        self._confirm_resize(server)
        self.assert_consistent('c0', server, 2)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def test_port_is_gone(self) -> None:
        """The NIC of a port that was deleted in Neutron is left out."""
        server = self.boot_with(
            self.nic(self.net.red), self.nic(self.net.red), host='c0'
        )
        _, kept = self.ports(server)
        self._shelve_server(server)
        # No nova-compute hears of it.
        self.net.delete_port(self.ports(server)[0]['id'])
        code, rows = self.manage('leave', '--apply')
        self.assertEqual((0, {server['id']}), (code, set(rows)))
        (request,) = self.requests_of(server)
        self.assertEqual(kept['id'], request.requester_id)
        self.assertFalse(requests.is_for_pci_flavor(request))

    def test_several_networks(self) -> None:
        """Nova cannot ask for a device on any of several networks."""
        server = self.boot_with(self.nic(self.net.both), host='c0')
        (port,) = self.ports(server)
        code, rows = self.manage('leave', '--apply')
        self.assertEqual((3, {server['id']}), (code, set(rows)))
        result, remedy = rows[server['id']]
        self.assertIn('one physical network', result)
        self.assertIn(f'remove port SERVER {port["id"]}', remedy)
