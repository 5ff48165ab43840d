# SPDX-License-Identifier: Apache-2.0
"""Tests of NICs of all vNIC types, on all kinds of networks."""

from collections.abc import Mapping
from typing import Any

from pci_passthrough.tests.nova import nics


class NicKindsTest(nics.NicsTest):
    """A host whose PFs and VFs differ in all facts that Neutron gets."""

    def setUp(self) -> None:
        super().setUp()
        self.distinguish_devices()

    def assert_no_device(self, *networks: Any, **arguments: Any) -> None:
        """Check that a server gets no device; the reason is recorded."""
        before = set(self.net._ports), self.held('c0')
        server = self.boot_in_vain(None, networks=list(networks), **arguments)
        self.assertIn('No valid host', server['fault']['message'])
        self.assertEqual(
            ["1 host: no free 10g on the NIC's network"],
            self.refusals_of(server),
        )
        self._delete_server(server)
        self.assertEqual(before, (set(self.net._ports), self.held('c0')))

    def networks_of(self, server: Mapping[str, Any]) -> list[str | None]:
        """Return the physical networks of a server's devices, by NIC."""
        addresses = self.assert_nics('c0', server).values()
        return [
            nics.tags_of(address).get('physical_network')
            for address in addresses
        ]


class TestVnicTypes(NicKindsTest):
    """The vnic_type of the PCI flavor decides how a NIC is attached."""

    def test_direct_physical(self) -> None:
        """The port gets the PF's MAC address; its VFs cannot be claimed."""
        self.create_pci_flavor('whole', nics.PF, vnic_type='direct-physical')
        self.start_nic_host('c0')
        server = self.boot_with(self.nic(self.net.blue, 'whole'))
        (port,) = self.ports(server)
        ((port_id, address),) = self.assert_nics('c0', server).items()
        self.assertEqual(port['id'], port_id)
        self.assertEqual('hostdev_physical', port['binding:vif_type'])
        self.assertEqual('0000:81:01.0', address)
        self.assertEqual([address], self.assert_guest_has('c0', server, 1))
        self.assert_no_device(self.nic(self.net.blue))
        self._delete_server(server)
        self.assert_clean('c0')
        # And the other way round.
        self.boot_with(self.nic(self.net.blue))
        self.boot_in_vain(None, networks=[self.nic(self.net.blue, 'whole')])

    def test_macvtap(self) -> None:
        """The VF stays on the host, and gets the port's MAC address."""
        self.create_pci_flavor('tap', nics.VF, vnic_type='macvtap')
        self.start_nic_host('c0')
        tagged = self.net.port(self.net.red, 'macvtap', 'pci-flavor=tap')
        server = self.boot_with(
            self.nic(self.net.blue, 'tap'), {'port': tagged['id']}
        )
        self.assertEqual(
            ['physnet-blue', 'physnet-red'], self.networks_of(server)
        )
        self.assertEqual([], self.hostdevs('c0', server))
        for port in self.ports(server):
            self.assertEqual('macvtap', port['binding:vnic_type'])
            address = self.profile(port)['pci_slot']
            self.libvirt.mock_set_device_macaddr_and_vlan.assert_any_call(
                nics.netdev_of(address, pf_interface=True),
                nics.number_of(address),
                port['mac_address'],
                42,
            )
        self._delete_server(server)
        self.assert_clean('c0')

    def test_vdpa(self) -> None:
        """The device is a vDPA device of a VF; a plain VF does not match."""
        self.create_pci_flavor(
            'offload', {'dev_type': 'vdpa'}, vnic_type='vdpa'
        )
        self.start_nic_host('c0', vdpa=True)
        server = self.boot_with(
            self.nic(self.net.blue, 'offload'), self.nic(self.net.red)
        )
        self.assertEqual(
            ['physnet-blue', 'physnet-red'], self.networks_of(server)
        )
        self.assertEqual(
            ['vdpa', 'hostdev'],
            [kind for kind, *_ in self.interfaces('c0', server)],
        )
        self.assert_no_device(self.nic(self.net.blue))
        self._delete_server(server)
        self.assert_clean('c0')


class TestManyNics(NicKindsTest):
    """Several NICs in one instance, and several instances at once."""

    def test_in_the_given_order(self) -> None:
        """One PCI flavor is requested by its UUID, and has no vnic_type."""
        any_nic = self.create_pci_flavor('any-nic', nics.VF)
        self.start_nic_host('c0')
        tagged = self.net.port(
            self.net.red, 'direct', f'pci-flavor={any_nic.uuid}'
        )
        asked = [
            self.nic(self.net.blue, '10g'),
            {'uuid': self.net.overlay},
            {'port': tagged['id']},
            {'uuid': self.net.red},
            self.nic(self.net.blue, any_nic.uuid),
        ]
        server = self.boot_with(*asked)
        self.assertEqual(
            ['physnet-blue', 'physnet-red', 'physnet-blue'],
            self.networks_of(server),
        )
        ports = self.ports(server)
        self.assertEqual(
            [nic.get('uuid', self.net.red) for nic in asked],
            [port['network_id'] for port in ports],
        )
        self.assertEqual(
            ['direct', 'normal', 'direct', 'normal', 'direct'],
            [port['binding:vnic_type'] for port in ports],
        )
        self.assertEqual(
            [port['mac_address'] for port in ports],
            [mac for _, mac, _ in self.interfaces('c0', server)],
        )
        names = [
            request.spec[0]['pci_flavor_name']
            for request in self.instance(server).pci_requests.requests
        ]
        self.assertCountEqual(['10g', 'any-nic', 'any-nic'], names)
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertIn(tagged['id'], self.net._ports)

    def test_several_servers(self) -> None:
        """Each server has its own ports and devices."""
        self.start_nic_host('c0')
        body = self._build_server(
            flavor_id=self.create_flavor(None),
            networks=[self.nic(self.net.red), self.nic(self.net.blue)],
        )
        body |= {'min_count': 2, 'return_reservation_id': True}
        answer = self.api.api_post('/servers', {'server': body}).body
        servers = [
            self._wait_for_state_change(server, 'ACTIVE')
            for server in self.api.get_servers(search_opts=answer)
        ]
        self.assertEqual(2, len(servers))
        for server in servers:
            self.assert_consistent('c0', server, 2)
            self.assertEqual(
                ['physnet-red', 'physnet-blue'], self.networks_of(server)
            )
        for server in servers:
            self._delete_server(server)
            self.assertEqual([], self.net.ports_of(server['id']))
        self.assert_clean('c0')


class TestNetworks(NicKindsTest):
    """The device is on the NIC's network."""

    def test_segments(self) -> None:
        """A device on one of the segments; for an overlay on no network."""
        self.start_nic_host('c0', vfs=1)
        server = self.boot_with(
            self.nic(self.net.both),
            self.nic(self.net.overlay),
            self.nic(self.net.both),
        )
        first, overlay, second = self.networks_of(server)
        self.assertEqual({'physnet-red', 'physnet-blue'}, {first, second})
        self.assertIsNone(overlay)
        for network in (self.net.both, self.net.red, self.net.overlay):
            self.assert_no_device({'uuid': self.net.blue}, self.nic(network))
        self._delete_server(server)
        self.assert_clean('c0')
        # A free device on another network does not match.
        server = self.boot_with(self.nic(self.net.red))
        self.assert_no_device(self.nic(self.net.red))

    def test_numa_policy(self) -> None:
        """The NUMA policy of the port replaces that of the instance."""
        self.flags(cpu_dedicated_set='4-7', group='compute')
        self.flags(disable_fallback_pcpu_query=True, group='workarounds')
        self.start_nic_host('c0')
        required = self.create_flavor(
            None,
            hw__cpu_policy='dedicated',
            hw__pci_numa_affinity_policy='required',
        )
        preferred = self.create_flavor(
            None,
            hw__cpu_policy='dedicated',
            hw__pci_numa_affinity_policy='preferred',
        )
        port = self.net.port(
            self.net.red,
            'direct',
            'pci-flavor=10g',
            numa_affinity_policy='required',
        )
        for flavor, nic in (
            (required, self.nic(self.net.red)),
            (preferred, {'port': port['id']}),
        ):
            server = self.boot_in_vain(flavor_id=flavor, networks=[nic])
            self.assertIn('No valid host', server['fault']['message'])
            self.assert_clean('c0')
        port = self.net.port(
            self.net.red,
            'direct',
            'pci-flavor=10g',
            numa_affinity_policy='preferred',
        )
        server = self.boot(flavor_id=required, networks=[{'port': port['id']}])
        self.assert_nics('c0', server)
