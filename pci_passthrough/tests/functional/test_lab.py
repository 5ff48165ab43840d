# SPDX-License-Identifier: Apache-2.0

"""Tests of the lab: simulated hosts behave like real hosts."""

from __future__ import annotations

import concurrent.futures
import errno
import pathlib
import queue
import threading
import typing
from xml.etree import ElementTree

import libvirt
import testtools

from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.lab import simulated_host

_PCI = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV
_NET = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET
_SHAPE = inventory.HostShape('lab-1', crypto_cards=1)


def _parse(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own


def _first_of(host: inventory.Host, model_driver: str) -> inventory.Device:
    return next(
        device
        for device in host.devices.values()
        if device.model.driver == model_driver
    )


class EventLog:
    """Collects a connection's lifecycle events: (device name, created)."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._events: queue.Queue[tuple[str, bool]] = queue.Queue()
        connection.nodeDeviceEventRegisterAny(
            None,
            libvirt.VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE,
            self._collect,
            None,
        )

    def _collect(
        self,
        connection: libvirt.virConnect,
        device: libvirt.virNodeDevice,
        event: int,
        detail: int,
        opaque: object,
    ) -> None:
        created = event == libvirt.VIR_NODE_DEVICE_EVENT_CREATED
        self._events.put((device.name(), created))

    def wait_for(self, wanted: set[tuple[str, bool]]) -> None:
        """Wait until all ``wanted`` events have arrived."""
        wanted = set(wanted)
        while wanted:
            try:
                wanted.discard(self._events.get(timeout=programs.PATIENCE))
            except queue.Empty:
                raise AssertionError(f'no event for {wanted}') from None


def _run_event_loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


class LabTestCase(testtools.TestCase):
    """Starts simulated hosts and opens connections to them."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not getattr(LabTestCase, '_loop', None):
            libvirt.virEventRegisterDefaultImpl()
            # By default libvirt prints all errors, also the expected ones.
            libvirt.registerErrorHandler(lambda *_: None, None)
            LabTestCase._loop = threading.Thread(
                target=_run_event_loop, daemon=True
            )
            LabTestCase._loop.start()

    _loop: typing.ClassVar[threading.Thread | None] = None

    def start(
        self, shape: inventory.HostShape = _SHAPE
    ) -> simulated_host.SimulatedHost:
        fixture = simulated_host.SimulatedHost(shape)
        self.useFixture(fixture)
        return fixture

    def connect(
        self, fixture: simulated_host.SimulatedHost
    ) -> libvirt.virConnect:
        connection = fixture.connect()
        self.addCleanup(connection.close)
        return connection

    def names(self, connection: libvirt.virConnect) -> set[str]:
        return {device.name() for device in connection.listAllDevices(_PCI)}

    def driver_of(self, connection: libvirt.virConnect, address: str) -> str:
        name = testdriver.device_name(address)
        xml = connection.nodeDeviceLookupByName(name).XMLDesc()
        return _parse(xml).findtext('driver/name') or ''


class InventoryTestCase(LabTestCase):
    """libvirt lists the devices of the inventory."""

    def _address(self, element: ElementTree.Element) -> str:
        domain, bus, slot, function = (
            int(element.attrib[key], 16)
            for key in ('domain', 'bus', 'slot', 'function')
        )
        return inventory.join_address(domain, bus, slot * 8 + function)

    def _check(
        self, device: inventory.Device, xml: str, group: list[str]
    ) -> None:
        root = _parse(xml)
        capability = root.find('capability')
        assert capability is not None
        self.assertEqual(device.driver, root.findtext('driver/name'))
        numa = capability.find('numa')
        assert numa is not None
        self.assertEqual(str(device.numa_node), numa.get('node'))
        members = capability.findall('iommuGroup/address')
        self.assertEqual(group, sorted(map(self._address, members)))
        physical = capability.find("capability[@type='phys_function']/address")
        self.assertEqual(
            device.physical_function,
            None if physical is None else self._address(physical),
        )
        virtual = capability.find("capability[@type='virt_functions']")
        if device.total_vfs:
            assert virtual is not None
            self.assertEqual(str(device.total_vfs), virtual.get('maxCount'))
            self.assertEqual(device.vfs, list(map(self._address, virtual)))
        else:
            self.assertIsNone(virtual)

    def test_lists_the_inventory(self) -> None:
        fixture = self.start()
        connection = self.connect(fixture)
        devices = fixture.host.devices
        listed = {
            device.name(): device.XMLDesc()
            for device in connection.listAllDevices(_PCI)
        }
        self.assertEqual(
            set(map(testdriver.device_name, devices)), set(listed)
        )
        groups = fixture.host.groups()
        for address, device in devices.items():
            xml = listed[testdriver.device_name(address)]
            self._check(device, xml, groups[device.iommu_group])
        parents = {
            device.parent(): _parse(device.XMLDesc())
            for device in connection.listAllDevices(_NET)
        }
        for device in devices.values():
            if device.interface is not None:
                net = parents[testdriver.device_name(device.address)]
                self.assertEqual(
                    device.interface.mac, net.findtext('capability/address')
                )

    def test_shows_nothing_of_the_machine(self) -> None:
        fixture = self.start()
        shown = fixture.run('ls', '/sys/bus/pci/devices').split()
        self.assertEqual(sorted(fixture.host.devices), sorted(shown))
        self.assertEqual(
            sorted(shown),
            sorted(
                path.name
                for path in (
                    fixture.host_root / 'sys/bus/pci/devices'
                ).iterdir()
            ),
        )

    def test_two_hosts_are_separate(self) -> None:
        first = self.start()
        second = self.start(inventory.HostShape('lab-2', nics=1, gpus=3))
        before = self.names(self.connect(second))
        for address in first.host.devices['0000:01:00.0'].vfs[:1]:
            first.unplug(address)
        self.assertEqual(before, self.names(self.connect(second)))
        self.assertEqual(
            len(first.host.devices) - 1, len(self.names(self.connect(first)))
        )


class ChangeTestCase(LabTestCase):
    """libvirt's clients get events about changes of the hardware."""

    def setUp(self) -> None:
        super().setUp()
        self.fixture = self.start()
        self.connection = self.connect(self.fixture)
        self.events = EventLog(self.connection)

    def test_unplug_and_plug(self) -> None:
        disk = _first_of(self.fixture.host, 'nvme').address
        name = testdriver.device_name(disk)
        self.fixture.unplug(disk)
        self.events.wait_for({(name, False)})
        self.assertNotIn(name, self.names(self.connection))
        self.fixture.plug(disk)
        self.events.wait_for({(name, True)})
        self.assertEqual('nvme', self.driver_of(self.connection, disk))

    def test_set_numvfs(self) -> None:
        card = _first_of(self.fixture.host, 'ice')
        names = set(map(testdriver.device_name, card.vfs))
        self.fixture.set_numvfs(card.address, 0)
        self.events.wait_for({(name, False) for name in names})
        self.fixture.set_numvfs(card.address, len(card.vfs))
        self.events.wait_for({(name, True) for name in names})
        self.assertLessEqual(names, self.names(self.connection))

    def test_set_numvfs_refuses_as_a_kernel_does(self) -> None:
        card = _first_of(self.fixture.host, 'ice').address
        for number, code in ((3, errno.EBUSY), (999, errno.ERANGE)):
            error = self.assertRaises(
                OSError, self.fixture.set_numvfs, card, number
            )
            self.assertEqual(code, error.errno)

    def test_frozen_kernel(self) -> None:
        card = _first_of(self.fixture.host, 'ice').address
        folder = self.fixture.host_root / f'sys/bus/pci/devices/{card}'
        device = self.connection.nodeDeviceLookupByName(
            testdriver.device_name(card)
        )
        pool = concurrent.futures.ThreadPoolExecutor(2)
        self.addCleanup(pool.shutdown)
        self.addCleanup(self.fixture.thaw)
        self.fixture.freeze()
        numvfs = pool.submit((folder / 'sriov_numvfs').read_text)
        for read in (device.XMLDesc, (folder / 'sriov_totalvfs').read_text):
            pool.submit(read).result(programs.PATIENCE)
        self.assertFalse(numvfs.done())
        self.fixture.thaw()
        self.assertEqual('4\n', numvfs.result(programs.PATIENCE))

    def test_bind(self) -> None:
        gpu = _first_of(self.fixture.host, 'nvidia').address
        self.fixture.unbind(gpu)
        self.assertEqual('', self.driver_of(self.connection, gpu))
        self.fixture.bind(gpu, 'vfio-pci')
        self.assertEqual('vfio-pci', self.driver_of(self.connection, gpu))

    def test_libvirt_detaches_and_reattaches(self) -> None:
        vf = _first_of(self.fixture.host, 'iavf').address
        name = testdriver.device_name(vf)
        device = self.connection.nodeDeviceLookupByName(name)
        device.detachFlags('vfio', 0)
        self.assertEqual('vfio-pci', self.driver_of(self.connection, vf))
        device.reAttach()
        self.assertEqual('iavf', self.driver_of(self.connection, vf))

    def test_libvirtd_crash(self) -> None:
        before = self.names(self.connection)
        disk = _first_of(self.fixture.host, 'nvme').address
        self.fixture.stop_libvirtd()
        self.assertRaises(
            libvirt.libvirtError, self.connection.listAllDevices, _PCI
        )
        self.fixture.unplug(disk)
        self.fixture.start_libvirtd()
        self.assertEqual(
            before - {testdriver.device_name(disk)},
            self.names(self.connect(self.fixture)),
        )


class UseTestCase(LabTestCase):
    """A host can use its devices itself."""

    def test_address_and_default_route(self) -> None:
        fixture = self.start()
        fixture.add_address('ens1f0', '192.0.2.10/24', '192.0.2.1')
        routes = (fixture.host_root / 'proc/1/net/route').read_text()
        self.assertIn('ens1f0\t00000000\t010200C0', routes)
        addresses = (fixture.host_root / 'proc/1/net/if_inet6').read_text()
        self.assertIn('ens1f0', addresses)

    def test_mounted_disk(self) -> None:
        fixture = self.start()
        fixture.mount_disk('nvme0n1', '/srv')
        root = fixture.host_root
        number = (root / 'sys/class/block/nvme0n1/dev').read_text().strip()
        mounts = (root / 'proc/1/mountinfo').read_text()
        self.assertIn(f' {number} / /srv ', mounts)
        self.assertIn('/dev/nvme0n1', mounts)


class CleanupTestCase(LabTestCase):
    """A stopped host leaves nothing behind."""

    def _processes(self, text: str) -> list[pathlib.Path]:
        processes = []
        for folder in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if text.encode() in (folder / 'cmdline').read_bytes():
                    processes.append(folder)
            except OSError:
                continue
        return processes

    def test_no_process_no_mount_no_folder(self) -> None:
        fixture = simulated_host.SimulatedHost(_SHAPE)
        fixture.setUp()
        socket = fixture.uri.partition('socket=')[2]
        folder = pathlib.Path(socket).parent
        namespace = (fixture.host_root.parent / 'ns/pid').readlink()
        self.assertNotEqual([], self._processes(str(folder)))
        fixture.cleanUp()
        self.assertEqual([], self._processes(str(folder)))
        self.assertFalse(folder.exists())
        mounts = pathlib.Path('/proc/self/mounts').read_text()
        self.assertNotIn(str(folder), mounts)
        for process in pathlib.Path('/proc').glob('[0-9]*/ns/pid'):
            try:
                self.assertNotEqual(namespace, process.readlink())
            except OSError:
                continue
