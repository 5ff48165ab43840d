# SPDX-License-Identifier: Apache-2.0
"""Tests of hosts that change from device_spec to pci_information, and back."""

from collections.abc import Mapping
from typing import Any

from nova import context as nova_context
from nova import objects as nova_objects
from nova.tests.fixtures import libvirt as fakelibvirt
import oslo_messaging
from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.tests.nova import base

#: An entry of device_spec that matches all devices of the hosts here.
_ALL = jsonutils.dumps(
    {
        'vendor_id': fakelibvirt.PCI_VEND_ID,
        'product_id': fakelibvirt.PCI_PROD_ID,
    }
)

#: An entry that matches all PFs, and one that matches their VFs, too.
_PF = jsonutils.dumps(
    {
        'vendor_id': fakelibvirt.PCI_VEND_ID,
        'product_id': fakelibvirt.PF_PROD_ID,
    }
)
_PF_AND_VFS = jsonutils.dumps({'vendor_id': fakelibvirt.PCI_VEND_ID})

#: The entry of pci_information that offers them, as the agent reports it.
_ENTRY = '{"match": {"vendor_id": "8086"}}'


class AdoptionTest(base.NovaTest):
    """Tests of a host with two devices that are native first."""

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
        """Return the devices of the host."""
        return fakelibvirt.HostPCIDevicesInfo(
            num_pci=2, num_pfs=0, num_vfs=0, bus=base.BUS
        )

    def offer(self, *devices: objects.PciDevice) -> None:
        """Let the agent offer some devices and no others."""
        withdrawn = {device.address for device in self.devices} - {
            device.address for device in devices
        }
        self.report('c0', list(devices), withdrawn=sorted(withdrawn))

    def set_device_spec(self, *entries: str) -> None:
        """Change Nova's configuration, for the next restart."""
        self.flags(device_spec=list(entries), group='pci')

    def boot_native(self) -> Mapping[str, Any]:
        """Create a server with a native device."""
        server: Mapping[str, Any] = self.boot(
            flavor_id=self.create_flavor(
                None, pci_passthrough__alias='native:1'
            )
        )
        return server

    def start_with_native(self) -> tuple[Mapping[str, Any], str]:
        """Return a server with a native device, and the device's address."""
        server = self.boot_native()
        (address,) = self.hostdevs('c0', server)
        return server, address

    def use_pci_information(self) -> None:
        """Change to pci_information, in the order of the manual."""
        self.set_device_spec()
        self.offer(*self.devices)
        self.restart('c0')

    def use_device_spec(self) -> None:
        """Change back to device_spec."""
        self.offer()
        self.set_device_spec(_ALL)
        self.restart('c0')

    def assert_taken_over(
        self, server: Mapping[str, Any], address: str
    ) -> None:
        """Check that a server has a device of this project only."""
        self.assertEqual([address], self.assert_guest_has('c0', server, 1))
        state = ('allocated', server['id'])
        self.assertEqual({address: state}, self.rows('c0'))
        (row,) = self.instance(server).pci_devices
        self.assertIn('pci_passthrough_device', row.extra_info)

    def assert_native(self, server: Mapping[str, Any], address: str) -> None:
        """Check that a server has a native device only."""
        self.assertEqual({}, self.held('c0'))
        self.assertEqual([address], self.hostdevs('c0', server))
        rows = self.rows('c0')
        self.assertEqual(('allocated', server['id']), rows.pop(address))
        self.assertEqual([('available', None)], list(rows.values()))
        (row,) = self.instance(server).pci_devices
        self.assertNotIn('pci_passthrough_device', row.extra_info)
        self.assertNotIn('pci_passthrough_claim', row.extra_info)


class TestThereAndBack(AdoptionTest):
    """Devices of running servers are taken over, and handed back."""

    def test_there(self) -> None:
        """The device keeps owner and request; the other one can be claimed.

        import-nova gives the PCI flavor the name of the alias.
        """
        server, address = self.start_with_native()
        named = self.create_pci_flavor('native')
        self.use_pci_information()
        self.assertNotIn('Unable to remove device', self.log())
        self.assert_taken_over(server, address)
        (request,) = self.instance(server).pci_requests.requests
        (adopted,) = [
            device
            for device in self.pci_conductor.host_devices('c0')
            if device.address == address
        ]
        self.assertEqual(request.request_id, adopted.request_id)
        self.assertEqual(named.uuid, adopted.pci_flavor_uuid)
        self.assertEqual(['take-over'], self.repairs('c0'))
        self.run_periodic_tasks()
        self.assert_taken_over(server, address)
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
        """A device is handed back: freed here, native again in Nova."""
        server, address = self.start_with_native()
        self.use_pci_information()
        self.assert_taken_over(server, address)
        self.use_device_spec()
        self.assert_native(server, address)
        self.assertEqual(['take-over', 'hand-back'], self.repairs('c0'))
        self.run_periodic_tasks()
        self.assert_native(server, address)
        other = self.boot_native()
        self.assertEqual({}, self.held('c0'))
        self._delete_server(server)
        self._delete_server(other)
        self.assertEqual({('available', None)}, set(self.rows('c0').values()))
        self.assertEqual({}, self.held('c0'))

    def test_agent_is_late(self) -> None:
        """Between the two restarts nobody offers the device that is in use."""
        server, address = self.start_with_native()
        self.set_device_spec()
        self.restart('c0')
        self.assertEqual({}, self.held('c0'))
        self.offer(*self.devices)
        self.run_periodic_tasks()
        self.assert_taken_over(server, address)
        self.offer()
        self.run_periodic_tasks()
        self.assert_taken_over(server, address)
        self._delete_server(server)
        self.assert_clean('c0')

    def test_conductor_is_away(self) -> None:
        """No conductor answers at the restarts, and then an answer is lost."""
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
        self.assert_taken_over(server, address)
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
    """Both configurations match a device."""

    def test_at_start(self) -> None:
        """nova-compute ends with an error that has both entries."""
        self.offer(self.devices[0])
        error = self.assertRaises(
            matched_twice.MatchedTwice, self.restart, 'c0'
        )
        self.assertEqual(1, error.code)
        for part in (self.devices[0].address, _ALL, _ENTRY):
            self.assertIn(part, str(error))
        self.assertNotIn(self.devices[1].address, str(error))

    def test_later(self) -> None:
        """An error is logged once, and claims of the device are aborted."""
        self.offer(self.devices[0])
        self.run_periodic_tasks()
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('could be promised twice'))
        self.boot_in_vain('gpu')
        self.assertIn('device cannot be used: ', self.log())
        self.assertEqual({}, self.held('c0'))
        self.assertEqual({('available', None)}, set(self.rows('c0').values()))
        server, address = self.start_with_native()
        self.assert_native(server, address)

    def test_offered_while_an_instance_has_it(self) -> None:
        """The agent offers the device before nova-compute restarts."""
        server, address = self.start_with_native()
        self.offer(*self.devices)
        self.run_periodic_tasks()
        self.boot_in_vain('gpu:2')
        self.assert_native(server, address)
        self.set_device_spec()
        self.restart('c0')
        self.assert_taken_over(server, address)


class TestVirtualFunctions(AdoptionTest):
    """A PF with two VFs, all of them matched."""

    PCI_DEVICE_SPEC = [_PF_AND_VFS]
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
        """Return the devices of the host."""
        return fakelibvirt.HostPCIDevicesInfo(
            num_pfs=1, num_vfs=2, bus=base.BUS
        )

    def test_there_and_back(self) -> None:
        """The PF cannot be claimed while an instance has one of its VFs."""
        self.create_pci_flavor('pf', {'dev_type': 'type-PF'})
        server, address = self.start_with_native()
        pf = self.devices[0].address
        self.assertEqual('unavailable', self.rows('c0')[pf][0])
        self.use_pci_information()
        self.assert_taken_over(server, address)
        self.boot_in_vain('pf')
        self.offer()
        self.set_device_spec(_PF_AND_VFS)
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

    def test_pf_is_native_and_vf_is_offered(self) -> None:
        """A PF and its VF exclude each other, so they count as one device."""
        self.set_device_spec(_PF)
        self.offer(self.devices[1])
        error = self.assertRaises(
            matched_twice.MatchedTwice, self.restart, 'c0'
        )
        self.assertIn(self.devices[1].address, str(error))
        self.assertIn(_PF, str(error))
