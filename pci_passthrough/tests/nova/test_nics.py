# SPDX-License-Identifier: Apache-2.0
"""Tests of new servers with NICs that ask for PCI flavors."""

from typing import Any

from pci_passthrough.tests.nova import nics


class TestNics(nics.NicsTest):
    """A new server with NICs."""

    def test_one_nic(self) -> None:
        """A NIC gets a VF on its network; a delete frees it."""
        self.start_nic_host('c0')
        server = self.boot_with(self.nic(self.net.blue))
        (address,) = self.assert_consistent('c0', server, 1)
        self.assertEqual(
            {'physical_network': 'physnet-blue'}, nics.tags_of(address)
        )
        (port,) = self.ports(server)
        self.assertEqual('direct', port['binding:vnic_type'])
        self.assertEqual('hw_veb', port['binding:vif_type'])
        self.assertEqual(
            {
                'pci_slot': address,
                'pci_vendor_info': '8086:1515',
                'physical_network': 'physnet-blue',
                'pf_mac_address': '52:54:00:1e:59:c6',
                'vf_num': 1,
            },
            self.profile(port),
        )
        self.assertEqual(
            [('hostdev', port['mac_address'], address)],
            self.interfaces('c0', server),
        )
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertEqual([], self.net.ports_of(server['id']))

    def test_port_with_a_tag(self) -> None:
        """A user's port gets a device on its network; the port is kept."""
        self.start_nic_host('c0')
        port = self.net.port(self.net.red, 'direct', 'pci-flavor=10g')
        server = self.boot_with({'port': port['id']})
        (address,) = self.assert_consistent('c0', server, 1)
        self.assertEqual(
            {'physical_network': 'physnet-red'}, nics.tags_of(address)
        )
        (bound,) = self.ports(server)
        self.assertEqual(port['id'], bound['id'])
        self.assertEqual(address, self.profile(bound)['pci_slot'])
        self.assertEqual(
            [('hostdev', port['mac_address'], address)],
            self.interfaces('c0', server),
        )
        self._delete_server(server)
        self.assert_clean('c0')
        left = self.net.show_port(port['id'])['port']
        self.assertEqual('', left['device_id'])
        self.assertEqual({}, self.profile(left))

    def test_without_pci_flavor(self) -> None:
        """A virtio NIC is unchanged, and no conductor is called."""
        self.start_nic_host('c0')
        self.forget_calls()
        server = self.boot_with({'uuid': self.net.red})
        (port,) = self.ports(server)
        self.assertEqual('normal', port['binding:vnic_type'])
        self.assertNotIn('resolve', self.wire.calls)
        self.assertNotIn('claim', self.wire.calls)
        self._delete_server(server)
        self.assert_clean('c0')


class TestRefusals(nics.NicsTest):
    """Refusals by nova-api, before a server or port is made."""

    def refusal(self, *networks: Any, **body: Any) -> tuple[int, str]:
        """Return status and text of a refused server with such NICs."""
        server = self._build_server(
            flavor_id=self.create_flavor(None), networks=list(networks)
        )
        answer: tuple[int, str] = self.refused(
            self.api_fixture.api.post_server, {'server': server | body}
        )
        return answer

    def assert_refused(self, text: str, *networks: Any) -> None:
        """Check for HTTP 400 with a text, and that nothing was made."""
        status, message = self.refusal(*networks)
        self.assertEqual(400, status, message)
        self.assertIn(text, message)
        self.assertEqual([], self.api.get_servers(detail=False))
        self.assertEqual({}, self.held('c0'))
        self.assertEqual(self.ports_before, set(self.net._ports))

    def test_refusals(self) -> None:
        self.start_nic_host('c0')
        self.create_pci_flavor('off', nics.VF, state='disabled')
        self.create_pci_flavor(
            'theirs', nics.VF, project_id='theirs', is_public=False
        )
        self.create_pci_flavor('gpu', {'class': 'display'})
        self.create_pci_flavor('tap', nics.VF, vnic_type='macvtap')
        self.create_pci_flavor(
            'trusty', {**nics.VF, 'e.trusted': 'true'}, vnic_type='direct'
        )
        trusted, marked = (
            self.net.port(self.net.red, 'direct', f'pci-flavor={name}')['id']
            for name in ('10g', 'trusty')
        )
        for port in (trusted, marked):
            self.net._ports[port]['binding:profile'] = {'trusted': 'true'}
        ports = [
            self.net.port(self.net.red, vnic_type, *tags)['id']
            for vnic_type, *tags in (
                ('normal', 'pci-flavor=10g'),
                ('direct', 'pci-flavor=tap'),
                ('direct', 'pci-flavor=10g', 'pci-flavor=tap'),
                ('direct', 'pci-flavor='),
                ('direct', 'pci-flavor=none-such'),
            )
        ]
        qos = self.net.port(self.net.red, 'direct', 'pci-flavor=10g')['id']
        self.net._ports[qos]['resource_request'] = {
            'required': ['CUSTOM_PHYSNET_RED'],
            'resources': {'NET_BW_EGR_KILOBIT_PER_SEC': 1000},
        }
        self.ports_before = set(self.net._ports)
        red = self.net.red
        for text, *networks in (
            ('none-such', self.nic(red, 'none-such')),
            ('off', self.nic(red), self.nic(red, 'off')),
            ('theirs', self.nic(red, 'theirs')),
            ('gpu', self.nic(red, 'gpu')),
            ('networks[0]: pci_flavor has to', {'uuid': red, 'pci_flavor': 1}),
            ('name', {'uuid': red, 'pci_flavor': ''}),
            ('tag the port', {'port': ports[0], 'pci_flavor': '10g'}),
            ('vnic_type normal', {'port': ports[0]}),
            ('macvtap', {'port': ports[1]}),
            ('pci-flavor=tap', {'port': ports[2]}),
            ('PCI flavor', {'port': ports[3]}),
            ('none-such', {'port': ports[4]}),
            ('guaranteed minimum bandwidth', {'port': qos}),
            ('matches e.trusted=true', {'port': trusted}),
        ):
            self.assert_refused(text, *networks)
        # A port whose PCI flavor has trusted devices only is accepted.
        accepted = self.api.post_server(
            {
                'server': self._build_server(
                    flavor_id=self.create_flavor(None),
                    networks=[{'port': marked}],
                )
            }
        )
        self._wait_for_state_change(accepted, 'ERROR')

    def test_too_many(self) -> None:
        """Requests of the Nova flavor and of NICs are claimed together."""
        self.start_nic_host('c0')
        flavor = self.create_flavor(','.join(['10g'] * 31))
        server = self._build_server(
            flavor_id=flavor,
            networks=[self.nic(self.net.red), self.nic(self.net.blue)],
        )
        status, text = self.refused(
            self.api_fixture.api.post_server, {'server': server}
        )
        self.assertEqual(400, status, text)
        self.assertIn('33 requests', text)

    def test_port_of_somebody_else(self) -> None:
        """Nova refuses the port; the text does not describe it."""
        self.start_nic_host('c0')
        port = self.net.port(
            self.net.red, 'normal', 'pci-flavor=10g', tenant_id='somebody'
        )
        status, text = self.refusal({'port': port['id']})
        self.assertEqual(400, status, text)
        self.assertNotIn('pci-flavor', text)
        self.assertNotIn('normal', text)

    def test_no_conductor(self) -> None:
        """HTTP 503 only for a NIC with a PCI flavor."""
        self.start_nic_host('c0')
        self.wire.is_down = True
        status, text = self.refusal(self.nic(self.net.red))
        self.assertEqual(503, status, text)
        self.wire.is_down = False
        self.assertEqual([], self.api.get_servers(detail=False))
