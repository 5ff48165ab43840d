# SPDX-License-Identifier: Apache-2.0
"""Instances with devices that are no PCI functions, from boot to delete."""

import os
import time
import types

from nova.virt.libvirt import utils

from pci_passthrough import resource_types
from pci_passthrough.nova_plugin.compute import first_minute
from pci_passthrough.nova_plugin.compute import guest_devices
from pci_passthrough.nova_plugin.compute import guest_start
from pci_passthrough.resource_types import registry
from pci_passthrough.store.devices import resolving
from pci_passthrough.tests.nova import generic

_ALL = 'slice:1,token:1,gpu:1'


class LifeTest(generic.GenericTest):
    """One host."""

    def setUp(self) -> None:
        super().setUp()
        self.start_generic_host('c0')

    def test_boot_reboot_and_delete(self) -> None:
        server = self.boot('slice:2,token:1')
        held = self.assert_has('c0', server, mdev=2, usb=1)
        self.assertEqual([], list(self.instance(server).pci_devices))
        self.hard_reboot(server)
        self.assertEqual(held, self.assert_has('c0', server, mdev=2, usb=1))
        self._reboot_server(server, hard=False)
        self.assertEqual(held, self.assert_has('c0', server, mdev=2, usb=1))
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertEqual([], self.repairs('c0'))

    def test_usb_controller(self) -> None:
        """Nova disables it, and libvirt would refuse a USB device."""
        # No tablet, which is a USB device of Nova.
        self.flags(pointer_model='ps2mouse')
        for pci_flavors, is_enabled in (('token:1', True), ('slice:1', False)):
            server = self.boot(pci_flavors)
            [controller] = self.domains[server['id']].findall(
                "./devices/controller[@type='usb']"
            )
            self.assertEqual(is_enabled, controller.get('model') != 'none')
            self._delete_server(server)

    def test_beside_pci_functions(self) -> None:
        flavor = self.create_flavor(_ALL, pci_passthrough__alias='native:1')
        server = self.boot(flavor_id=flavor)
        held = self.assert_holds('c0', server, 1, 1, 1)
        self.assertEqual(4, len(self.elements(server)))
        self.assertTrue(
            set(held) < {address for _, address in self.elements(server)}
        )
        self._delete_server(server)
        self.assert_clean('c0')

    def test_restart(self) -> None:
        server = self.boot(_ALL)
        held = self.assert_has('c0', server, 1, 1, 1)
        self.restart('c0')
        self.run_periodic_tasks()
        self.hard_reboot(server)
        self.assertEqual(held, self.assert_has('c0', server, 1, 1, 1))
        self.assertEqual([], self.repairs('c0'))
        other = self.boot(_ALL)
        self.assertEqual(
            set(), set(held) & set(self.assert_has('c0', other, 1, 1, 1))
        )
        self._delete_server(server)
        self._delete_server(other)
        self.assert_clean('c0')

    def test_deleted_while_nova_compute_is_down(self) -> None:
        server = self.boot(_ALL)
        self.force_down('c0')
        self._delete_server(server)
        self.assert_holds('c0', server, 1, 1, 1)
        # The guest is gone, too: the host was rebooted.
        driver = self.computes['c0'].driver
        driver._host.get_connection()._vms.clear()
        self.restart('c0')
        self.run_periodic_tasks()
        self.assert_clean('c0')

    def test_numa_topology(self) -> None:
        """Slices are near NUMA node 0, tokens are nowhere."""
        flavor = self.create_flavor(
            'slice:1,token:1', hw__numa_nodes='1', hw__cpu_policy='shared'
        )
        server = self.boot(flavor_id=flavor)
        self.assert_has('c0', server, mdev=1, usb=1)

    def test_holdings_that_differ(self) -> None:
        """The conductor's database is of yesterday, or an operator acts."""
        server = self.boot('slice:1,token:1')
        held = self.assert_has('c0', server, mdev=1, usb=1)
        self.pci_conductor.free('c0', server['id'], 'test')
        self.run_periodic_tasks()
        self.assertEqual(held, self.assert_has('c0', server, mdev=1, usb=1))
        self.assertEqual(2 * ['repair-adopt'], self.repairs('c0'))
        (token,) = (address for address in held if len(address) < 12)
        self.report_generic('c0', tokens=0)
        resolving.resolve(self.db, f'c0/{token}', None, 'it broke', 'op')
        self.run_periodic_tasks()
        self.assert_holds('c0', server, mdev=1)
        self.hard_reboot(server)
        self.assert_has('c0', server, mdev=1)
        self._delete_server(server)
        self.assert_clean('c0')

    def test_nic_gets_no_mediated_device(self) -> None:
        self.create_pci_flavor('nic', {'resource_type': 'mdev'})
        status, text = self.refused(
            self.boot,
            'slice:1',
            networks=[
                {'uuid': self.neutron.network_1['id'], 'pci_flavor': 'nic'}
            ],
        )
        self.assertEqual(400, status, text)
        self.assertEqual({}, self.held('c0'))

    def test_term_of_tags_takes_any_type(self) -> None:
        self.create_pci_flavor(
            'any', [{'e.type': 'nvidia-558'}, {'e.type': 'crypto token'}]
        )
        server = self.boot('any:6')
        self.assert_has('c0', server, mdev=3, usb=3)
        self.boot_in_vain('any:1')
        self._delete_server(server)
        self.assert_clean('c0')

    def test_type_without_element(self) -> None:
        """A licence is nothing that libvirt knows."""
        slot = generic.token_at(0, 0).replace(
            resource_type='slots', address='licence-1', vendor_id=None,
            product_id=None,
        )  # fmt: skip
        self.report('c0', [slot])
        self.create_pci_flavor('licence', {'resource_type': 'slots'})
        server = self.boot('licence:1')
        self.assertEqual(['licence-1'], list(self.held('c0')))
        self.assertEqual([], self.elements(server))
        self._delete_server(server)
        self.assert_clean('c0')

    def test_suspend_and_stop(self) -> None:
        # Nova's fixture for libvirt cannot suspend a guest with slices.
        server = self.boot('token:2')
        held = self.assert_has('c0', server, usb=2)
        for action, state in (
            ('suspend', 'SUSPENDED'),
            ('resume', 'ACTIVE'),
            ('os-stop', 'SHUTOFF'),
            ('os-start', 'ACTIVE'),
        ):
            self.api.post_server_action(server['id'], {action: None})
            self._wait_for_state_change(server, state)
            self.assertEqual(held, self.assert_has('c0', server, usb=2))

    def test_rescue(self) -> None:
        server = self.boot('slice:1,token:1')
        held = self.assert_has('c0', server, mdev=1, usb=1)
        # Nova's fixtures make no files of instances.
        os.makedirs(utils.get_instance_path(self.instance(server)))
        self._rescue_server(server)
        self.assertEqual(held, self.assert_has('c0', server, mdev=1, usb=1))
        self._unrescue_server(server)
        self.assert_holds('c0', server, mdev=1, usb=1)


class RefusedStartTest(generic.GenericTest):
    """A guest does not start without its devices."""

    def setUp(self) -> None:
        super().setUp()
        self.start_generic_host('c0')
        self.server = self.boot('slice:1,token:1')
        self.held_before = self.assert_has('c0', self.server, 0, 1, 1)

    def assert_refused(self, text: str) -> None:
        before = self.log().count('Not starting the guest')
        self.hard_reboot(self.server)
        self.assertEqual(before + 1, self.log().count('Not starting the g'))
        self.assertIn(text, self.log())

    def test_device_was_pulled_out(self) -> None:
        self.usb.gone.add(self.held_before[-1])
        self.assert_refused(f'{self.held_before[-1]}: it was pulled out')
        self.usb.gone.clear()
        self.hard_reboot(self.server)
        self.assert_has('c0', self.server, 0, 1, 1)

    def test_conductor_away(self) -> None:
        self.wire.is_down = True
        self.hard_reboot(self.server)
        self.wire.is_down = False
        self.assertNotIn('Not starting', self.log())
        self.assert_has('c0', self.server, 0, 1, 1)

    def test_conductor_away_since_the_start(self) -> None:
        self.wire.is_down = True
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.restart('c0')
        self.assert_refused('no pci-passthrough-conductor has answered since')
        self.wire.is_down = False
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.hard_reboot(self.server)
        self.assert_has('c0', self.server, 0, 1, 1)


class HostStateTest(generic.GenericTest):
    """The resource types of this project read the host before each start."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(resource_types, 'load', registry.load)
        self.root = self.folder / 'root'
        self.patch(guest_devices, '_ROOT', str(self.root))
        self.start_generic_host('c0', slices=1, tokens=1)
        self.slice = generic.slice_at(0, 0).address
        mdev = self.root / 'sys/bus/mdev/devices' / self.slice
        mdev.mkdir(parents=True)
        self.kind = mdev / 'mdev_type'
        self.make_slice()
        self.port = self.root / 'sys/bus/usb/devices/1-1'
        self.port.mkdir(parents=True)
        self.plug_in(devnum='7')

    def make_slice(self) -> None:
        self.kind.symlink_to('../types/nvidia-558')

    def test_made_after_a_start_of_the_host(self) -> None:
        server = self.boot('slice:1')
        self.kind.unlink()

        clock = types.SimpleNamespace(
            monotonic=time.monotonic, sleep=lambda _: self.make_slice()
        )
        self.patch(first_minute, 'time', clock)
        self.patch(first_minute, '_ENDS_AT', time.monotonic() + 60)
        self.hard_reboot(server)
        self.assertEqual([('mdev', self.slice)], self.elements(server))

    def test_not_made(self) -> None:
        server = self.boot('slice:1')
        self.kind.unlink()
        self.patch(first_minute, '_ENDS_AT', 0)
        self.hard_reboot(server)
        self.assertIn(f'{self.slice} of type nvidia-558 on', self.log())

    def plug_in(self, **facts: str) -> None:
        """Plug the token in, or another device."""
        token = {'busnum': '1', 'idVendor': '1050', 'idProduct': '0407'}
        for name, value in (token | facts).items():
            (self.port / name).write_text(f'{value}\n')

    def test_numbers_change(self) -> None:
        server = self.boot('slice:1,token:1')
        self.assertEqual(
            [('mdev', self.slice), ('usb', '1-7')], self.elements(server)
        )
        self.plug_in(devnum='9')
        self.hard_reboot(server)
        self.assertEqual(
            [('mdev', self.slice), ('usb', '1-9')], self.elements(server)
        )
        self.plug_in(devnum='10', idProduct='0120')
        self.hard_reboot(server)
        self.assertIn('1050:0120 is plugged in', self.log())
        self.assertEqual(('usb', '1-9'), self.elements(server)[1])
