# SPDX-License-Identifier: Apache-2.0
"""Tests of NICs with PCI flavors.

Each host has virtual functions on both physical networks. This project, Nova,
the domain, the port's binding in Neutron and the settings in the NIC must
agree about the virtual functions of an instance.
"""

from typing import Any
from typing import Final

from openstack import exceptions as sdk_exceptions
import requests

from pci_passthrough.tests.e2e import account
from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.e2e import shell

#: Physical and virtual functions, on both physical networks.
_NICS: Final = 'class=network'
_TAG: Final = 'pci-flavor={}'


class NicTestCase(base.CloudTestCase):
    """Base class: a PCI flavor of all NICs, a Nova flavor without devices.

    :ivar nic: the PCI flavor.
    :ivar flavor: the Nova flavor.
    """

    def setUp(self) -> None:
        super().setUp()
        self.nic = self.create_pci_flavor(_NICS)
        self.flavor = self.create_flavor()

    def on(self, network: str, pci_flavor: str | None = None) -> Any:
        """Return a NIC for Nova's API, by the network's name."""
        return {
            'uuid': self.cloud.networks[network],
            'pci_flavor': pci_flavor or self.nic,
        }

    def attach(
        self, server: Any, network: str, pci_flavor: str
    ) -> requests.Response:
        """Attach a NIC, and return the response."""
        nic = {
            'net_id': self.cloud.networks[network],
            'pci_flavor': pci_flavor,
        }
        answer: requests.Response = self.compute.post(
            f'/servers/{server.id}/os-interface',
            json={'interfaceAttachment': nic},
        )
        return answer

    def assert_nics(self, server: Any, *networks: str) -> None:
        """Check that an instance has one NIC on each of these networks only.

        The NICs must be passed-through virtual functions.
        """
        server = self.compute.get_server(server.id)
        self.wait_for_ports(server)
        ports = self.ports_of(server)
        wanted = sorted(self.cloud.networks[name] for name in networks)
        self.assertEqual(wanted, sorted(port.network_id for port in ports))
        self.assert_holdings(server, number=len(networks))
        self.assertEqual(self.views.ours(), self.views.ports())
        host = self.cloud.hosts[server.compute_host]
        self.assertEqual(
            {port.mac_address for port in ports}, set(host.nics(server.id))
        )
        for port in ports:
            self.assert_nic(server, port)

    def assert_nic(self, server: Any, port: Any) -> None:
        """Check one NIC in all views."""
        host = self.cloud.hosts[server.compute_host]
        profile = port.binding_profile
        self.assertEqual(
            ('ACTIVE', 'hw_veb', host.name),
            (port.status, port.binding_vif_type, port.binding_host_id),
        )
        network = self.network.get_network(port.network_id)
        device = host.machine.host.devices[profile['pci_slot']]
        card = host.machine.host.devices[str(device.physical_function)]
        assert card.interface is not None
        self.assertLessEqual(
            {
                'physical_network': network.provider_physical_network,
                'pci_vendor_info': f'{device.model.vendor_id:04x}'
                f':{device.model.product_id:04x}',
                'pf_mac_address': card.interface.mac,
                'vf_num': device.vf_index,
            }.items(),
            {n: v for n, v in profile.items() if n != 'capabilities'}.items(),
        )
        self.assertEqual(
            {nic.physical_network for nic in settings.NICS
             if int(nic.vendor_id, 16) == device.model.vendor_id},
            {network.provider_physical_network},
        )  # fmt: skip
        vlan = network.provider_segmentation_id
        interface = host.nics(server.id)[port.mac_address]
        self.assertEqual('hostdev', interface.attrib['type'])
        self.assertEqual(str(vlan), interface.find('vlan/tag').attrib['id'])
        self.assertEqual(
            (port.mac_address, vlan),
            host.virtual_functions()[device.address],
        )


class ClientTestCase(NicTestCase):
    """Both clients, used by a member of a project."""

    def setUp(self) -> None:
        super().setUp()
        # Only administrators may create servers without disk.
        self.flavor = self.create_flavor(disk=1)
        name = self.getUniqueString('member')
        self.user = self.useFixture(
            account.Account(self.cloud, name, 'member')
        )

    def _nic(self, network: str) -> tuple[str, str]:
        uuid = self.cloud.networks[network]
        return '--nic', f'net-id={uuid},pci-flavor={self.nic}'

    def _booted(self) -> Any:
        [server] = self.user.sdk.compute.servers()
        self.addCleanup(self.delete, server)
        return self.wait_for_status(server, 'ACTIVE')

    def test_openstack(self) -> None:
        self.user.shell.openstack(
            *('server', 'create', '--flavor', self.flavor, '--image'),
            *(self.cloud.image, *self._nic('net1'), 'with-a-nic'),
        )
        server = self._booted()
        self.assert_nics(server, 'net1')
        self._attach_and_detach(server)
        self.user.shell.openstack('server', 'delete', '--wait', server.id)
        self.wait_until_gone(server)
        self.assert_all_free()

    def _attach_and_detach(self, server: Any) -> None:
        words = ('--pci-flavor', self.nic, server.id, 'net2')
        self.user.shell.openstack('server', 'add', 'network', *words)
        processes.wait_for(
            lambda: len(self.ports_of(server)) == 2, 'two ports', pause=0.3
        )
        self.assert_nics(server, 'net1', 'net2')
        self.user.shell.openstack(
            'server', 'remove', 'network', server.id, 'net2'
        )
        host = self.cloud.hosts[server.compute_host]

        def is_detached() -> bool:
            host.release_device(server.id)
            return len(self.views.ours()[server.id]) == 1

        processes.wait_for(is_detached, 'one NIC only', pause=1)
        self.assert_nics(server, 'net1')

    def test_nova(self) -> None:
        self.user.shell.succeed(
            *('nova', 'boot', '--flavor', self.flavor, '--image'),
            *(self.cloud.image, *self._nic('net1'), *self._nic('net2')),
            'with-two-nics',
        )
        server = self._booted()
        self.assert_nics(server, 'net1', 'net2')


class AttachTestCase(NicTestCase):
    """Attaching a NIC to an existing instance."""

    def test_while_stopped(self) -> None:
        server = self.boot(self.flavor, networks=[self.on('net1')])
        self.compute.stop_server(server.id)
        self.wait_for_status(server, 'SHUTOFF')
        answer = self.attach(server, 'net2', self.nic)
        self.assertEqual(200, answer.status_code)
        self.compute.start_server(server.id)
        self.wait_for_status(server, 'ACTIVE')
        self.assert_nics(server, 'net1', 'net2')

    def test_refused(self) -> None:
        server = self.boot(self.flavor)
        for name in ('nothing', self.create_pci_flavor('e.group=gpu')):
            answer = self.attach(server, 'net1', name)
            self.assertEqual(400, answer.status_code)
            self.assertIn(name, answer.text)
        self.assertEqual([], self.ports_of(server))
        self.assert_all_free()


class PortTestCase(NicTestCase):
    """Ports of users with a tag ``pci-flavor``."""

    def _boot_with(self, port: Any) -> Any:
        return self.boot(self.flavor, networks=[{'port': port.id}])

    def _tagged(self, vnic_type: str, pci_flavor: str) -> Any:
        return self.create_port('net1', vnic_type, _TAG.format(pci_flavor))

    def test_direct(self) -> None:
        admin = shell.Shell(self.cloud.control.credentials())
        created = admin.table(
            *('port', 'create', '--network', 'net1', '--pci-flavor'),
            *(self.nic, 'of-the-user'),
        )
        port = self.network.get_port(created['id'])
        self.addCleanup(self.network.delete_port, port)
        self.user_ports.add(port.id)
        server = self._boot_with(port)
        self.assert_nics(server, 'net1')
        self.delete(server)
        # The port is unchanged.
        self.assert_all_free()
        self.assertEqual(
            ('', 'unbound', [_TAG.format(self.nic)], port.mac_address),
            self._state(port),
        )
        other = self.create_pci_flavor(_NICS)
        admin.openstack('port', 'set', '--pci-flavor', other, port.id)
        for name, ports in ((self.nic, []), (other, [port.id])):
            listed = admin.succeed(
                *('openstack', 'port', 'list', '--pci-flavor', name),
                *('-f', 'value', '-c', 'ID'),
            )
            self.assertEqual(ports, listed.split())
        admin.openstack('port', 'unset', '--pci-flavor', port.id)
        self.assertEqual([], self.network.get_port(port.id).tags)

    def _state(self, port: Any) -> tuple[str, str, list[str], str]:
        port = self.network.get_port(port.id)
        vif_type = port.binding_vif_type
        return port.device_id, vif_type, port.tags, port.mac_address

    def test_direct_physical(self) -> None:
        nic = self.create_pci_flavor(_NICS, '--vnic-type', 'direct-physical')
        port = self._tagged('direct-physical', nic)
        server = self._boot_with(port)
        self.assert_holdings(server)
        self.assertEqual(self.views.ours(), self.views.ports())
        [(host, address)] = self.views.ours()[server.id]
        card = self.cloud.hosts[host].machine.host.devices[address]
        assert card.interface is not None
        port = self.network.get_port(port.id)
        self.assertEqual(
            ('ACTIVE', 'hostdev_physical', card.interface.mac),
            (port.status, port.binding_vif_type, port.mac_address),
        )

    def test_macvtap(self) -> None:
        for compute in self.cloud.hosts.values():
            if not compute.supports_macvtap():
                self.skipTest('the kernel has no macvtap')
        nic = self.create_pci_flavor(_NICS, '--vnic-type', 'macvtap')
        port = self._tagged('macvtap', nic)
        server = self._boot_with(port)
        self.assert_holdings(server)
        self.assertEqual(self.views.ours(), self.views.ports())
        [(name, address)] = self.views.ours()[server.id]
        host = self.cloud.hosts[name]
        interface = host.nics(server.id)[port.mac_address]
        self.assertEqual('direct', interface.attrib['type'])
        setting = host.virtual_functions()[address]
        self.assertEqual(port.mac_address, setting.mac)
        self.delete(server)
        self.assert_all_free()
        self.assertEqual({}, host.virtual_functions())


class RefusalTestCase(NicTestCase):
    """Invalid requests are refused and leave nothing behind."""

    def _assert_refused(self, *networks: Any, about: str) -> None:
        ports = {port.id for port in self.network.ports()}
        error = self.assertRaises(
            sdk_exceptions.BadRequestException,
            self.create_server,
            self.flavor,
            networks=list(networks),
        )
        self.assertIn(about, str(error))
        self.assertEqual([], list(self.compute.servers()))
        self.assertEqual({}, self.views.ours())
        self.assertEqual(ports, {port.id for port in self.network.ports()})

    def test_requests(self) -> None:
        gpu = self.create_pci_flavor('e.group=gpu')
        uuid = self.cloud.networks['net1']
        self._assert_refused(self.on('net1', 'nothing'), about='nothing')
        self._assert_refused(self.on('net1', gpu), about=gpu)
        # The first NIC alone could be served.
        self._assert_refused(self.on('net1'), self.on('net2', gpu), about=gpu)
        normal = self.create_port('net1', 'normal', _TAG.format(self.nic))
        self._assert_refused({'port': normal.id}, about='normal')
        two = self.create_port(
            'net1', 'direct', _TAG.format(self.nic), _TAG.format(gpu)
        )
        self._assert_refused({'port': two.id}, about=gpu)
        both = {'port': two.id, 'uuid': uuid, 'pci_flavor': self.nic}
        self._assert_refused(both, about='pci_flavor')

    def test_no_device_on_the_network(self) -> None:
        nic = self.create_pci_flavor('e.group=10g')
        server = self.create_server(
            self.flavor, networks=[self.on('net1', nic)]
        )
        server = self.wait_for_status(server, 'ERROR')
        self.assertIn('No valid host was found', server.fault['message'])
        self.assertEqual([], self.ports_of(server))
        self.assert_all_free()
        refusals = self.cloud.manage(
            'refusal', 'list', '--server', server.id, '-f', 'json'
        )
        self.assertIn(f"no free {nic} on the NIC's network", str(refusals))


class MixedTestCase(NicTestCase):
    """A macvtap NIC beside a direct NIC."""

    def test_warning(self) -> None:
        nic = self.create_pci_flavor(_NICS, '--vnic-type', 'macvtap')
        body = {
            'name': self.getUniqueString(),
            'imageRef': self.cloud.image,
            # No host can serve this; only the response is tested.
            'flavorRef': self.create_flavor(pci_flavor=f'{self.nic}:9'),
            'networks': [self.on('net1', nic), self.on('net2')],
        }
        answer = self.compute.post('/servers', json={'server': body})
        self.assertEqual(202, answer.status_code)
        server = self.compute.get_server(answer.json()['server']['id'])
        self.addCleanup(self.delete, server)
        self.assertIn('macvtap', answer.headers['Warning'])
        self.wait_for_status(server, 'ERROR')


class MoveTestCase(NicTestCase):
    """Moving an instance with a NIC to another host."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.boot(self.flavor, networks=[self.on('net1')])
        self.before = self.views.ours()

    def _migrate(self) -> None:
        self.compute.migrate_server(self.server.id)
        moved = self.wait_for_status(self.server, 'VERIFY_RESIZE')
        # A device on both hosts; the port is bound where the guest is.
        held = self.views.ours()[self.server.id]
        self.assertEqual(set(self.cloud.hosts), {host for host, _ in held})
        [(host, address)] = self.views.ports()[self.server.id]
        self.assertEqual(moved.compute_host, host)
        self.assertIn((host, address), held)

    def test_confirm(self) -> None:
        self._migrate()
        self.compute.confirm_server_resize(self.server.id)
        self.wait_for_status(self.server, 'ACTIVE')
        processes.wait_for(
            lambda: len(self.views.ours()[self.server.id]) == 1,
            'the device of the source freed',
        )
        self.assert_nics(self.server, 'net1')
        self.assertNotEqual(self.before, self.views.ours())

    def test_revert(self) -> None:
        self._migrate()
        self.compute.revert_server_resize(self.server.id)
        self.wait_for_status(self.server, 'ACTIVE')
        self.wait_for_holdings(self.before)
        self.assert_nics(self.server, 'net1')

    def test_shelve_and_unshelve(self) -> None:
        [port] = self.ports_of(self.server)
        self.shelve_and_unshelve(self.server)
        self.assert_nics(self.server, 'net1')
        self.assertEqual([port.id], [p.id for p in self.ports_of(self.server)])

    def test_reboot(self) -> None:
        """A reboot claims nothing again."""
        self._reboot()
        # A port that was left behind when its device moved is bound again.
        [port] = self.ports_of(self.server)
        own = port.binding_profile['pci_slot']
        host = self.cloud.hosts[
            self.compute.get_server(self.server.id).compute_host
        ]
        devices = host.machine.host.devices.values()
        [card] = {d.physical_function for d in devices if d.address == own}
        other = next(
            device.address
            for device in devices
            if device.physical_function == card and device.address != own
        )
        # Neutron takes it from services only.
        nova = self.cloud.control.connect(
            self.cloud.control.credentials()
            | {'username': 'nova', 'project_name': 'service'}
        )
        self.addCleanup(nova.close)
        nova.network.update_port(
            port, binding_profile={**port.binding_profile, 'pci_slot': other}
        )
        self._reboot()

    def _reboot(self) -> None:
        self.compute.reboot_server(self.server.id, 'HARD')
        self.wait_for_status(self.server, 'ACTIVE')
        self.assert_nics(self.server, 'net1')
        self.assertEqual(self.before, self.views.ours())
