# SPDX-License-Identifier: Apache-2.0
"""Hosts that change from [pci] device_spec to pci_information, and back."""

from collections.abc import Mapping
from typing import Any

from nova import context as nova_context
from nova import objects as nova_objects
from nova.tests.fixtures import libvirt as fakelibvirt
import oslo_messaging
from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import tracker
from pci_passthrough.tests.nova import base

#: An entry of device_spec that matches all devices of the hosts here.
_ALL = jsonutils.dumps(
    {
        'vendor_id': fakelibvirt.PCI_VEND_ID,
        'product_id': fakelibvirt.PCI_PROD_ID,
    }
)

#: One that matches all PFs, and one that matches their VFs, too.
_PF = jsonutils.dumps(
    {
        'vendor_id': fakelibvirt.PCI_VEND_ID,
        'product_id': fakelibvirt.PF_PROD_ID,
    }
)
_KIN = jsonutils.dumps({'vendor_id': fakelibvirt.PCI_VEND_ID})

#: The entry of pci_information that offers them, as the agent tells it.
_ENTRY = '{"match": {"vendor_id": "8086"}}'


class AdoptionTest(base.NovaTest):
    """A host whose two devices are Nova's, and may become ours."""

    PCI_DEVICE_SPEC = [_ALL]

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')
        info = self.host_info()
        self.devices = base.offered(info)
        for device in self.devices:
            device.offered_by = _ENTRY
        self.start_host('c0', native=len(self.devices), info=info)

    def host_info(self) -> fakelibvirt.HostPCIDevicesInfo:
        """Return what the host has."""
        return fakelibvirt.HostPCIDevicesInfo(
            num_pci=2, num_pfs=0, num_vfs=0, bus=base.BUS
        )

    def offer(self, *devices: objects.PciDevice) -> None:
        """Let the agent offer some devices and no others."""
        withdrawn = {d.address for d in self.devices} - {
            d.address for d in devices
        }
        self.report('c0', list(devices), withdrawn=sorted(withdrawn))

    def set_device_spec(self, *entries: str) -> None:
        """Change Nova's configuration; it counts after a restart."""
        self.flags(device_spec=list(entries), group='pci')

    def boot_native(self) -> Mapping[str, Any]:
        """Create a server with one of Nova's own devices."""
        server: Mapping[str, Any] = self.boot(
            flavor_id=self.create_flavor(
                None, pci_passthrough__alias='native:1'
            )
        )
        return server

    def start_with_native(self) -> tuple[Mapping[str, Any], str]:
        """Return a server with one of Nova's devices, and its address."""
        server = self.boot_native()
        (address,) = self.hostdevs('c0', server)
        return server, address

    def use_pci_information(self) -> None:
        """Give the devices to the agent, in the order of the manual."""
        self.set_device_spec()
        self.offer(*self.devices)
        self.restart('c0')

    def use_device_spec(self) -> None:
        """Give the devices back to Nova."""
        self.offer()
        self.set_device_spec(_ALL)
        self.restart('c0')

    def assert_ours(self, server: Mapping[str, Any], address: str) -> None:
        """A server has its device from this project, and from nobody else."""
        self.assertEqual([address], self.assert_guest_has('c0', server, 1))
        state = ('allocated', server['id'])
        self.assertEqual({address: state}, self.rows('c0'))
        (row,) = self.instance(server).pci_devices
        self.assertIn('pci_passthrough_device', row.extra_info)

    def assert_native(self, server: Mapping[str, Any], address: str) -> None:
        """A server has its device from Nova, and from nobody else."""
        self.assertEqual({}, self.held('c0'))
        self.assertEqual([address], self.hostdevs('c0', server))
        rows = self.rows('c0')
        self.assertEqual(('allocated', server['id']), rows.pop(address))
        self.assertEqual([('available', None)], list(rows.values()))
        (row,) = self.instance(server).pci_devices
        self.assertNotIn('pci_passthrough_device', row.extra_info)
        self.assertNotIn('pci_passthrough_claim', row.extra_info)

    def log(self) -> str:
        """Return what Nova's processes have logged."""
        text: str = self.stdlog.logger.output
        return text


class TestThereAndBack(AdoptionTest):
    """A running server keeps its device, and is deleted on either side."""

    def test_there(self) -> None:
        """Adopted with owner and request; the other one is given away."""
        server, address = self.start_with_native()
        self.use_pci_information()
        self.assertNotIn('Unable to remove device', self.log())
        self.assert_ours(server, address)
        (request,) = self.instance(server).pci_requests.requests
        (adopted,) = [
            device
            for device in self.pci_conductor.host_devices('c0')
            if device.address == address
        ]
        self.assertEqual(request.request_id, adopted.request_id)
        self.run_periodic_tasks()
        self.assert_ours(server, address)
        other = self.boot('gpu')
        self.assertNotEqual([address], self.assert_guest_has('c0', other, 1))
        self.boot_in_vain('gpu')
        self.restart('c0')
        self.assert_guest_has('c0', server, 1)
        self._delete_server(server)
        self._delete_server(other)
        self.assert_clean('c0')
        self.assertEqual({}, self.rows('c0'))

    def test_and_back(self) -> None:
        """Freed here, kept there; a device of ours becomes Nova's, too."""
        server, address = self.start_with_native()
        self.use_pci_information()
        self.assert_ours(server, address)
        self.use_device_spec()
        self.assert_native(server, address)
        self.run_periodic_tasks()
        self.assert_native(server, address)
        other = self.boot_native()
        self.assertEqual({}, self.held('c0'))
        self._delete_server(server)
        self._delete_server(other)
        self.assertEqual({('available', None)}, set(self.rows('c0').values()))
        self.assertEqual({}, self.held('c0'))

    def test_agent_is_late(self) -> None:
        """Between the two restarts the device is nobody's, but had."""
        server, address = self.start_with_native()
        self.set_device_spec()
        self.restart('c0')
        self.assertEqual({}, self.held('c0'))
        self.offer(*self.devices)
        self.run_periodic_tasks()
        self.assert_ours(server, address)
        self.offer()
        self.run_periodic_tasks()
        self.assert_ours(server, address)
        self._delete_server(server)
        self.assert_clean('c0')

    def test_conductor_is_away(self) -> None:
        """At the restarts, and when an answer is lost."""
        server, address = self.start_with_native()
        self.set_device_spec()
        self.offer(*self.devices)
        self.wire.is_down = True
        self.restart('c0')
        self.wire.is_down = False
        before, self.wire.after = self.wire.after, self.lose('adopt')
        self.run_periodic_tasks()
        self.wire.after = before
        self.run_periodic_tasks()
        self.assert_ours(server, address)
        before, self.wire.before = self.wire.before, self.lose('free')
        self.use_device_spec()
        self.assertEqual(1, len(self.held('c0')))
        self.wire.before = before
        self.run_periodic_tasks()
        self.assert_native(server, address)

    def lose(self, method: str) -> Any:
        """Return a hook that loses a call."""

        def fail(called: str, _arguments: Mapping[str, Any]) -> None:
            if called == method:
                raise oslo_messaging.MessagingTimeout('nobody answered')

        return fail


class TestMatchedTwice(AdoptionTest):
    """Devices that both configurations give away."""

    def test_at_start(self) -> None:
        """nova-compute names both entries and ends."""
        self.offer(self.devices[0])
        error = self.assertRaises(tracker.MatchedTwice, self.restart, 'c0')
        self.assertEqual(1, error.code)
        for part in (self.devices[0].address, _ALL, _ENTRY):
            self.assertIn(part, str(error))
        self.assertNotIn(self.devices[1].address, str(error))

    def test_later(self) -> None:
        """It is logged once; a claim of such a device is given up."""
        self.offer(self.devices[0])
        self.run_periodic_tasks()
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('could be promised twice'))
        self.boot_in_vain('gpu')
        self.assertIn('it got what cannot be given away', self.log())
        self.assertEqual({}, self.held('c0'))
        self.assertEqual({('available', None)}, set(self.rows('c0').values()))
        server, address = self.start_with_native()
        self.assert_native(server, address)

    def test_offered_while_an_instance_has_it(self) -> None:
        """The agent was faster than nova-compute's restart."""
        server, address = self.start_with_native()
        self.offer(*self.devices)
        self.run_periodic_tasks()
        self.boot_in_vain('gpu:2')
        self.assert_native(server, address)
        self.set_device_spec()
        self.restart('c0')
        self.assert_ours(server, address)


class TestVirtualFunctions(AdoptionTest):
    """A PF with two VFs, all of them given away."""

    PCI_DEVICE_SPEC = [_KIN]
    PCI_ALIAS = [
        jsonutils.dumps(
            {
                'vendor_id': fakelibvirt.PCI_VEND_ID,
                'product_id': product,
                'device_type': dev_type,
                'name': name,
            }
        )
        for product, dev_type, name in (
            (fakelibvirt.VF_PROD_ID, 'type-VF', 'native'),
            (fakelibvirt.PF_PROD_ID, 'type-PF', 'native-pf'),
        )
    ]

    def host_info(self) -> fakelibvirt.HostPCIDevicesInfo:
        """Return what the host has."""
        return fakelibvirt.HostPCIDevicesInfo(
            num_pfs=1, num_vfs=2, bus=base.BUS
        )

    def test_there_and_back(self) -> None:
        """The PF is not given away while one of its VFs is had."""
        self.create_pci_flavor('pf', {'dev_type': 'type-PF'})
        server, address = self.start_with_native()
        pf = self.devices[0].address
        self.assertEqual('unavailable', self.rows('c0')[pf][0])
        self.use_pci_information()
        self.assert_ours(server, address)
        self.boot_in_vain('pf')
        self.offer()
        self.set_device_spec(_KIN)
        self.restart('c0')
        self.assertEqual({}, self.held('c0'))
        rows = self.rows('c0')
        self.assertEqual(('unavailable', None), rows.pop(pf))
        self.assertEqual(('allocated', server['id']), rows.pop(address))
        self.assertEqual([('available', None)], list(rows.values()))
        pools = nova_objects.ComputeNode.get_by_nodename(
            nova_context.get_admin_context(), 'c0'
        ).pci_device_pools
        self.assertEqual(
            [(fakelibvirt.VF_PROD_ID, 1)],
            [(pool.product_id, pool.count) for pool in pools],
        )
        self._delete_server(server)
        self.run_periodic_tasks()
        self.assertEqual({('available', None)}, set(self.rows('c0').values()))
        self.boot(
            flavor_id=self.create_flavor(
                None, pci_passthrough__alias='native-pf:1'
            )
        )

    def test_kin_is_matched(self) -> None:
        """Nova's PF and our VF exclude each other: neither may be both's."""
        self.set_device_spec(_PF)
        self.offer(self.devices[1])
        error = self.assertRaises(tracker.MatchedTwice, self.restart, 'c0')
        self.assertIn(self.devices[1].address, str(error))
        self.assertIn(_PF, str(error))
