# SPDX-License-Identifier: Apache-2.0
"""Hardware that moves or is exchanged under an instance."""

from collections.abc import Mapping
import os
from typing import Any

from neutronclient.common import exceptions
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import utils

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import guest_start
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import resolving
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import nics


class IdentityTest(base.NovaTest):
    """An instance holds the first of three GPUs with serial numbers."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')
        # Another test may have left a pause after a call without answer.
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        info = fakelibvirt.HostPCIDevicesInfo(
            num_pci=4, num_pfs=0, num_vfs=0, bus=base.BUS, numa_node=0
        )
        self.start_host('c0', info=info)
        self.gpus = [
            device.replace(serial_number=f'S{number}')
            for number, device in enumerate(base.offered(info, 1))
        ]
        self.report('c0', self.gpus)
        self.server = self.boot('gpu:1')
        [self.address] = self.assert_guest_has('c0', self.server, 1)

    def mine(self) -> objects.PciDevice:
        [device] = [d for d in self.gpus if d.address == self.address]
        return device

    def others(self) -> list[objects.PciDevice]:
        return [d for d in self.gpus if d.address != self.address]

    def usb(self) -> objects.PciDevice:
        """Return the controller of a new card, at the GPU's address."""
        return self.mine().replace(
            vendor_id='1b21', product_id='2142', serial_number=None
        )

    def outcome(self) -> str:
        """Return the outcome of the server's last action."""
        action, *_ = self.api.get_instance_actions(self.server['id'])
        details = self.api.api_get(
            f'/servers/{self.server["id"]}/os-instance-actions/'
            f'{action["request_id"]}'
        ).body['instanceAction']
        return str(details['events'][0]['result'])

    def assert_refused(self, text: str) -> None:
        refusal = f'Not starting the guest of instance {self.server["id"]}: '
        before = self.log().count(refusal + text)
        self.hard_reboot(self.server)
        self.assertEqual(before + 1, self.log().count(refusal + text))
        # The guest that runs is left alone.
        self.assertEqual([self.address], self.hostdevs('c0', self.server))

    def test_conflict(self) -> None:
        self.hard_reboot(self.server)
        self.assertNotIn('Not starting', self.log())
        self.report('c0', [self.usb(), *self.others()])
        self.assert_refused(
            f'{self.address} is in conflict: 1b21:2142 of class'
        )
        self.api.post_server_action(self.server['id'], {'os-stop': None})
        self._wait_for_state_change(self.server, 'SHUTOFF')
        # Nova's API casts; in these tests the error comes back.
        status, _ = self.refused(
            self.api.post_server_action, self.server['id'], {'os-start': None}
        )
        self.assertEqual(500, status)
        self.assertEqual('Error', self.outcome())

    def test_rescue(self) -> None:
        # Nova's fixtures make no files of instances.
        os.makedirs(utils.get_instance_path(self.instance(self.server)))
        self._rescue_server(self.server)
        self.assertEqual([self.address], self.hostdevs('c0', self.server))
        self._unrescue_server(self.server)
        self.assertEqual([self.address], self.hostdevs('c0', self.server))
        self.report('c0', [self.usb(), *self.others()])
        status, _ = self.refused(
            self.api.post_server_action,
            self.server['id'],
            {'rescue': {'adminPass': 'secret'}},
        )
        self.assertEqual(400, status)
        self.assertIn(f'{self.address} is in conflict', self.log())

    def test_former_holder_in_the_last_answer_does_not_count(self) -> None:
        self.hard_reboot(self.server)
        self._delete_server(self.server)
        # Claims are answered meanwhile, this question is not.
        self.patch(guest_start._known, '_silent_until', float('inf'))
        other: Mapping[str, Any] = self.boot('gpu:1')
        self.assertEqual([self.address], self.assert_guest_has('c0', other, 1))

    def test_conflict_in_the_last_answer_counts(self) -> None:
        self.report('c0', [self.usb(), *self.others()])
        self.assert_refused(f'{self.address} is in conflict')
        self.wire.is_down = True
        self.assert_refused(f'{self.address} is in conflict')

    def test_conductor_never_answered(self) -> None:
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.wire.is_down = True
        self.hard_reboot(self.server)
        self.assertNotIn('Not starting', self.log())
        self.wire.is_down = False

    def shift(self) -> str:
        """Report the GPU at a new address; return that address."""
        address = self.address[:-4] + '09.0'
        moved = self.mine().replace(address=address)
        self.report('c0', [self.usb(), moved, *self.others()])
        return address

    def test_proven_move(self) -> None:
        address = self.shift()
        self.assert_refused(f'{self.address} has moved to {address}')
        self.run_periodic_tasks()
        self.assertEqual(
            [address], self.assert_consistent('c0', self.server, 1)
        )
        device = lookup.get(self.db, f'c0/{self.address}')
        self.assertEqual(
            ('available', '1b21'), (device.state, device.vendor_id)
        )
        self.hard_reboot(self.server)
        self.assertEqual([address], self.hostdevs('c0', self.server))
        self._delete_server(self.server)
        self.assert_clean('c0')

    def test_change_of_places(self) -> None:
        other: Mapping[str, Any] = self.boot('gpu:1')
        [its_address] = self.assert_guest_has('c0', other, 1)
        [its] = [d for d in self.gpus if d.address == its_address]
        rest = [d for d in self.others() if d is not its]
        self.report(
            'c0',
            [
                self.mine().replace(address=its_address),
                its.replace(address=self.address),
                *rest,
            ],
        )
        self.run_periodic_tasks()
        for server, address in (
            (self.server, its_address),
            (other, self.address),
        ):
            self.assertEqual(
                [address], self.assert_consistent('c0', server, 1)
            )

    def test_gone(self) -> None:
        reported = [self.usb(), *self.others()]
        self.report('c0', reported)
        resolving.resolve(self.db, f'c0/{self.address}', None, 'it died', 'op')
        self.report('c0', reported)
        self.assert_refused(f'1b21:2142 is at {self.address}')
        self.run_periodic_tasks()
        self.assertEqual({}, self.held('c0'))
        self.assertEqual({}, self.attachment_rows('c0'))
        self.hard_reboot(self.server)
        self.assertEqual([], self.hostdevs('c0', self.server))


class PortTest(nics.NicsTest):
    """Nova gives libvirt the address in a port's binding, not in its row."""

    def setUp(self) -> None:
        super().setUp()
        self.distinguish_devices()
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.start_nic_host('c0')
        self.server = self.boot_with(self.nic(self.net.red))
        [(self.port, self.address)] = self.assert_nics(
            'c0', self.server
        ).items()
        other: Mapping[str, Any] = self.boot_with(self.nic(self.net.red))
        [self.its_address] = self.assert_nics('c0', other).values()

    def bind_elsewhere(self) -> None:
        """Bind the port to the other server's device.

        So it is if devices have changed places.
        """
        [port] = self.ports(self.server)
        profile = {**self.profile(port), 'pci_slot': self.its_address}
        self.net.update_port(self.port, {'port': {'binding:profile': profile}})

    def test_port_follows(self) -> None:
        self.hard_reboot(self.server)
        self.assertNotIn('has moved', self.log())
        self.bind_elsewhere()
        self.hard_reboot(self.server)
        self.assertIn(
            f'binding port {self.port} to {self.address}', self.log()
        )
        # Nova refreshes what it knows of ports from Neutron.
        self.assertEqual(
            {self.port: self.address}, self.assert_nics('c0', self.server)
        )

    def test_neutron_refuses(self) -> None:
        self.bind_elsewhere()

        def refuse(*_args: Any, **_kwargs: Any) -> None:
            raise exceptions.ServiceUnavailable('the database is away')

        self.patch(self.net, 'update_port', refuse)
        self.hard_reboot(self.server)
        self.assertIn(
            f'Not starting the guest of instance {self.server["id"]}: port '
            f'{self.port} is bound to {self.its_address}, and Neutron',
            self.log(),
        )
        [(_, _, still)] = self.interfaces('c0', self.server)
        self.assertEqual(self.address, still)
