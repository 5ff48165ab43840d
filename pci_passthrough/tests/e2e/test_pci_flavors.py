# SPDX-License-Identifier: Apache-2.0
"""Tests of instances with PCI flavors in their Nova flavor."""

from openstack import exceptions as sdk_exceptions

from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import processes

#: Number of devices of each kind in the cloud.
_H100S, _A100S = 4, 4
_H100, _A100 = 'product_id=2330', 'product_id=20b5'


class BootTestCase(base.CloudTestCase):
    """One instance at a time."""

    def test_boot_and_delete(self) -> None:
        gpu = self.create_pci_flavor('e.group=gpu')
        server = self.boot(self.create_flavor(pci_flavor=f'{gpu}:1'))
        self.assert_holdings(server)
        [device] = self.views.ours()[server.id]
        self.assertEqual(server.compute_host, device[0])
        self.assertEqual('allocated', self.views.states()[device])
        shown = self.server_show(server)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual(
            device[0], shown['OS-EXT-SRV-ATTR:hypervisor_hostname']
        )
        self.delete(server)
        self.assert_all_free()
        self.assertEqual({'available'}, set(self.views.states().values()))

    def test_several_kinds(self) -> None:
        gpu = self.create_pci_flavor(_H100)
        disk = self.create_pci_flavor('e.group=scratch')
        flavor = self.create_flavor(pci_flavor=f'{gpu}:2,{disk}')
        server = self.boot(flavor)
        self.assert_holdings(server, number=3)

    def test_no_such_pci_flavor(self) -> None:
        flavor = self.create_flavor(pci_flavor='nothing:1')
        error = self.assertRaises(
            sdk_exceptions.BadRequestException, self.create_server, flavor
        )
        self.assertIn('nothing', str(error))


class SupplyTestCase(base.CloudTestCase):
    """No more instances than devices."""

    def test_until_devices_run_out(self) -> None:
        gpu = self.create_pci_flavor(_H100)
        flavor = self.create_flavor(pci_flavor=gpu)
        servers = self.create_many(flavor, _H100S)
        for server in servers:
            self.wait_for_status(server, 'ACTIVE')
        self.assert_holdings(*servers)
        late = self.wait_for_status(self.create_server(flavor), 'ERROR')
        self.assertIn('No valid host was found', late.fault['message'])
        refusals = self.cloud.manage(
            'refusal', 'list', '--server', late.id, '-f', 'json'
        )
        [refusal] = refusals
        hosts = sum(reason['hosts'] for reason in refusal['Reasons'])
        self.assertEqual(2, hosts)
        self.assertIn(gpu, str(refusals))
        self.assertIn(
            f'PCI flavor {gpu}: No device is free.', late.fault['message']
        )
        self.assert_holdings(*servers)
        # A freed device can be claimed again.
        self.delete(servers[0])
        self.boot(flavor)

    def test_change_while_running(self) -> None:
        gpu = self.create_pci_flavor(_H100)
        flavor = self.create_flavor(pci_flavor=gpu)
        before = self.boot(flavor)
        held = self.views.ours()
        change = ('flavor', 'set', gpu, '--match', _A100)
        # The new match does not match the held device.
        self.assertRaises(processes.CloudError, self.cloud.manage, *change)
        self.cloud.manage(*change, '--force')
        servers = self.create_many(flavor, _A100S)
        for server in servers:
            self.wait_for_status(server, 'ACTIVE')
        self.assertEqual(held[before.id], self.views.ours()[before.id])
        late = self.create_server(flavor)
        self.wait_for_status(late, 'ERROR')
        self.assert_holdings(before, *servers)
        models = {
            self.cloud.hosts[host].machine.host.devices[a].model.product_id
            for server in servers
            for host, a in self.views.ours()[server.id]
        }
        self.assertEqual({0x20B5}, models)
