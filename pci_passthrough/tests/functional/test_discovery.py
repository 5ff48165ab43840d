# SPDX-License-Identifier: Apache-2.0
"""Tests of discovery with libvirt's test driver and a simulated host."""

import pathlib
import threading

import fixtures
import libvirt
import testtools

from pci_passthrough import exception
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import hidden_properties
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import node_device
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.lab import simulated_host

_ALL = pci_information.PciInformation.parse(
    ['{"match": {"vendor_id": "*"}, "extra_info": {"group": "all"}}']
)


class DiscoveryTestCase(testtools.TestCase):
    """Base class: connects to libvirt, compares with the inventory."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())

    def connect(self, uri: str) -> libvirt_host.LibvirtHost:
        host = libvirt_host.LibvirtHost(uri)
        self.addCleanup(host.close)
        host.connect()
        return host

    def check(
        self, wanted: inventory.Device, device: device_obj.PciDevice
    ) -> None:
        interface = wanted.interface
        self.assertEqual(
            (
                wanted.address,
                wanted.physical_function,
                f'{wanted.model.vendor_id:04x}',
                f'{wanted.model.product_id:04x}',
                f'{wanted.model.subsystem_id:04x}',
                f'{wanted.model.class_code:06x}',
                wanted.driver,
                wanted.numa_node,
                wanted.iommu_group,
                wanted.total_vfs or None,
                interface and interface.name,
                interface and interface.mac,
            ),
            (
                device.address,
                device.parent_addr,
                device.vendor_id,
                device.product_id,
                device.subsystem_id,
                device.pci_class,
                device.driver,
                device.numa_node,
                device.iommu_group,
                device.total_vfs,
                device.devname,
                device.mac_address,
            ),
        )

    def check_all(self, host: inventory.Host, result: scan.Scan) -> None:
        """Check that all endpoints of the inventory are listed."""
        devices = [item.device for item in result.offered]
        devices += [item.device for item in result.refused]
        listed = {device.address: device for device in devices}
        self.assertEqual(
            {
                address
                for address, device in host.devices.items()
                if device.bridge_buses is None
            },
            set(listed),
        )
        for address, device in listed.items():
            self.check(host.devices[address], device)


class TestDriverTestCase(DiscoveryTestCase):
    """``test:///`` with a directory as the host's root."""

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.model = inventory.build_host(
            inventory.HostShape(
                'demo', management_nic=True, system_disk=True, lvm_disk=True
            )
        )
        self.demo = testdriver.write_host(self.model, folder)

    def test_scan(self) -> None:
        host = self.connect(self.demo.uri)
        root = sysfs_reader.SysfsReader(str(self.demo.host_root))
        result = scan.scan(
            host.list_node_devices(),
            root,
            _ALL,
            hidden_properties.HiddenProperties(),
        )
        self.check_all(self.model, result)
        refused = {item.reason for item in result.refused}
        self.assertEqual(5, len(refused))
        for part in (
            'eno1 carries the default',
            'mounted at',
            'held by dm-0',
            'boot VGA',
            'its IOMMU group',
        ):
            self.assertIn(part, ' '.join(refused))
        self.assertFalse(result.use_unknown)

    def test_scan_without_the_hosts_root(self) -> None:
        listing = self.connect(self.demo.uri).list_node_devices()
        result = scan.scan(listing, None, _ALL)
        self.assertTrue(result.use_unknown)
        self.assertEqual([], result.refused)

    def test_wrong_root_refuses_everything(self) -> None:
        empty = self.useFixture(fixtures.TempDir()).path
        listing = self.connect(self.demo.uri).list_node_devices()
        result = scan.scan(listing, sysfs_reader.SysfsReader(empty), _ALL)
        self.assertEqual([], result.offered)
        for item in result.refused:
            self.assertTrue(item.reason.startswith(in_use.USE_UNKNOWN))

    def test_connection_is_read_only(self) -> None:
        host = self.connect(self.demo.uri)
        connection = host._connection
        assert connection is not None
        error = self.assertRaises(
            libvirt.libvirtError, connection.createXML, '<domain/>'
        )
        self.assertEqual(
            libvirt.VIR_ERR_OPERATION_DENIED, error.get_error_code()
        )

    def test_connect_and_close_again(self) -> None:
        host = self.connect(self.demo.uri)
        host.watch(lambda: None)
        host.connect()
        self.assertNotEqual([], host.list_node_devices())
        host.close()
        host.close()
        self.assertRaises(exception.LibvirtUnavailable, host.list_node_devices)
        host.connect()
        self.assertNotEqual([], host.list_node_devices())

    def test_no_such_file(self) -> None:
        host = libvirt_host.LibvirtHost('test:///nowhere/at/all.xml')
        self.assertRaises(exception.InvalidConfiguration, host.connect)

    def test_no_such_socket(self) -> None:
        uri = 'qemu+unix:///system?socket=/nowhere/libvirt-sock'
        host = libvirt_host.LibvirtHost(uri)
        error = self.assertRaises(exception.LibvirtUnavailable, host.connect)
        self.assertEqual(uri, error.uri)
        self.assertIn('/nowhere/libvirt-sock', error.reason)
        self.assertIsInstance(error.__cause__, libvirt.libvirtError)

    def test_largest_host(self) -> None:
        model = inventory.build_host(
            inventory.HostShape('large', nics=16, vfs=125, total_vfs=128)
        )
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        host = self.connect(testdriver.write_host(model, folder).uri)
        devices = node_device.parse_listing(host.list_node_devices()).devices
        self.assertEqual(
            sorted(
                address
                for address, device in model.devices.items()
                if device.bridge_buses is None
            ),
            sorted(device.address for device in devices),
        )
        self.assertGreater(len(devices), 2000)


class SimulatedHostTestCase(DiscoveryTestCase):
    """A real libvirtd with its udev driver."""

    def setUp(self) -> None:
        super().setUp()
        self.fixture = simulated_host.SimulatedHost(
            inventory.HostShape('discovery', vfs=2, nvmes=2)
        )
        self.useFixture(self.fixture)
        self.host = self.connect(self.fixture.uri)
        self.root = sysfs_reader.SysfsReader(str(self.fixture.host_root))
        self.hidden_properties = hidden_properties.HiddenProperties()

    def scan(
        self, information: pci_information.PciInformation = _ALL
    ) -> scan.Scan:
        listing = self.host.list_node_devices()
        return scan.scan(
            listing, self.root, information, self.hidden_properties
        )

    def address_of(self, driver: str) -> str:
        return next(
            address
            for address, device in self.fixture.host.devices.items()
            if device.driver == driver
        )

    def test_finds_the_inventory(self) -> None:
        result = self.scan()
        self.check_all(self.fixture.host, result)
        self.assertFalse(result.use_unknown)

    def test_refuses_what_the_host_uses(self) -> None:
        self.fixture.add_address('ens1f0', '192.0.2.10/24', '192.0.2.1')
        self.fixture.mount_disk('nvme0n1', '/srv')
        reasons = [item.reason for item in self.scan().refused]
        self.assertIn(
            'its network interface ens1f0 carries the default route', reasons
        )
        self.assertIn('its disk nvme0n1 is mounted at /srv', reasons)

    def test_unplug_calls_the_watcher(self) -> None:
        changed = threading.Event()
        self.host.watch(changed.set)
        address = self.address_of('nvidia')
        self.fixture.unplug(address)
        self.assertTrue(changed.wait(programs.PATIENCE))
        result = self.scan()
        self.assertNotIn(
            address, [item.device.address for item in result.offered]
        )
        self.assertNotIn(address, result.others)

    def test_device_in_guest_still_matches(self) -> None:
        address = self.address_of('iavf')
        entries = pci_information.PciInformation.parse(['{"driver": "iavf"}'])

        def offered() -> dict[str, str | None]:
            result = self.scan(entries)
            return {
                item.device.address: item.device.devname
                for item in result.offered
            }

        before = offered()
        self.fixture.unbind(address)
        self.assertNotIn(address, offered())
        self.fixture.bind(address, 'vfio-pci')
        self.assertEqual(before, offered())

    def test_group_with_a_function_of_the_host(self) -> None:
        entries = pci_information.PciInformation.parse(
            ['{"product_id": "2684"}']
        )
        gpu, sound = (
            self.address_of(driver) for driver in ('nouveau', 'snd_hda_intel')
        )
        (refused,) = self.scan(entries).refused
        self.assertEqual(gpu, refused.device.address)
        self.assertIn(f'{sound} (snd_hda_intel)', refused.reason)
        self.fixture.unbind(sound)
        self.assertEqual([], self.scan(entries).refused)
        self.fixture.bind(sound, 'vfio-pci')
        (offered,) = self.scan(entries).offered
        self.assertEqual(gpu, offered.device.address)

    def test_two_watchers(self) -> None:
        changed = [threading.Event(), threading.Event()]
        for event in changed:
            self.host.watch(event.set)
        self.fixture.unplug(self.address_of('nvidia'))
        for event in changed:
            self.assertTrue(event.wait(programs.PATIENCE))

    def test_close_leaves_nothing_open(self) -> None:
        changed = threading.Event()
        self.host.watch(changed.set)
        open_files = self._files_of_libvirtd()
        for _ in range(5):
            self.host.close()
            self.host.connect()
        self.host.close()
        programs.wait_for(
            lambda: self._files_of_libvirtd() <= open_files, 'closed files'
        )
        changed.clear()
        # A second connection shows when the event has been sent.
        still_open = threading.Event()
        self.connect(self.fixture.uri).watch(still_open.set)
        self.fixture.unplug(self.address_of('nvidia'))
        self.assertTrue(still_open.wait(programs.PATIENCE))
        self.assertFalse(changed.is_set())

    def _files_of_libvirtd(self) -> int:
        folder = f'/proc/{self.fixture.libvirtd_pid}/fd'
        return len(self.fixture.run('ls', folder).split())

    def test_libvirtd_killed_and_started_again(self) -> None:
        changed = threading.Event()
        self.host.watch(changed.set)
        before = self.host.list_node_devices()
        self.fixture.stop_libvirtd()
        self.assertTrue(changed.wait(programs.PATIENCE))
        self.assertRaises(
            exception.LibvirtUnavailable, self.host.list_node_devices
        )
        self.assertRaises(exception.LibvirtUnavailable, self.host.connect)
        self.assertRaises(
            exception.LibvirtUnavailable, self.host.list_node_devices
        )
        self.fixture.start_libvirtd()
        self.host.connect()
        self.assertEqual(len(before), len(self.host.list_node_devices()))
        changed.clear()
        self.fixture.unplug(self.address_of('nvidia'))
        self.assertTrue(changed.wait(programs.PATIENCE))
