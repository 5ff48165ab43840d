# SPDX-License-Identifier: Apache-2.0
"""Exchanged hardware of equal kind, through agent and conductor together."""

import pathlib

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import hidden_properties
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.specs import pci_information
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.functional.services import wire
from pci_passthrough.tests.unit.discovery.test_vital_product_data import vpd
from pci_passthrough.tests.unit.rpc import driver

_ENTRIES = pci_information.PciInformation.parse(
    ['{"match": {"class": "0108"}, "extra_info": {"group": "10g"}}']
)


class ExchangedDiskTest(testtools.TestCase):
    """A host has two equal NVMe disks; an instance holds the first one."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.model = inventory.build_host(
            inventory.HostShape(wire.HOST, nics=0, gpus=0, consumer_gpus=0)
        )
        written = testdriver.write_host(self.model, folder)
        self.root = pathlib.Path(written.host_root)
        self.reader = sysfs_reader.SysfsReader(str(self.root))
        self.libvirt = libvirt_host.LibvirtHost(written.uri)
        self.addCleanup(self.libvirt.close)
        self.libvirt.connect()
        self.hidden = hidden_properties.HiddenProperties()
        self.conductor = wire.Endpoint(folder)
        self.addCleanup(self.conductor.db.close)
        self.client, _ = driver.client(self.conductor.answer)
        self.sequence = 0
        self.disks = sorted(
            address
            for address, device in self.model.devices.items()
            if device.disk is not None
        )
        for address, number in zip(self.disks, ('S0', 'S1'), strict=True):
            self.insert(address, number)
        self.report()
        request = objects.PciRequest(
            request_id='a', count=1, pci_flavors=['10g'], numa_policy=None
        )
        self.client.claim(
            claims.ClaimRequest(
                wire.HOST, wire.INSTANCE, [request], 'nova', None, 'a project'
            )
        )
        [self.held] = [
            address
            for address in self.disks
            if self.device(address).instance_uuid == wire.INSTANCE
        ]
        [self.free] = {*self.disks} - {self.held}

    def folder(self, address: str) -> pathlib.Path:
        return self.root / 'sys' / self.model.path(address)

    def insert(self, address: str, number: str) -> None:
        """Have another disk at an address, padded as NVMe does."""
        [controller] = (self.folder(address) / 'nvme').iterdir()
        (controller / 'serial').write_text(f'{number:20}\n')

    def bind(self, address: str, name: str) -> None:
        """Bind a driver: without that of NVMe there is no controller."""
        link = self.folder(address) / 'driver'
        target = self.root / 'sys/bus/pci/drivers' / name
        target.mkdir(exist_ok=True)
        link.unlink()
        link.symlink_to(target)
        here, there = 'nvme', 'not-nvme'
        if name == 'nvme':
            here, there = there, here
        (self.folder(address) / here).rename(self.folder(address) / there)

    def report(self) -> None:
        """Scan, and report all."""
        result = scan.scan(
            self.libvirt.list_node_devices(),
            self.reader,
            _ENTRIES,
            self.hidden,
        )
        snapshot = reporting.Snapshot.of(
            [offered.device for offered in result.offered],
            result.others,
            [refused.device for refused in result.refused],
        )
        self.sequence += 1
        ack = self.client.report(
            snapshot.full_report(
                host=wire.HOST, agent_version='1', sequence=self.sequence
            )
        )
        self.assertEqual(objects.report.Wanted.NOTHING, ack.wanted)

    def device(self, address: str) -> objects.PciDevice:
        return lookup.get(self.conductor.db, f'{wire.HOST}/{address}')

    def events(self, address: str) -> list[tuple[str, str | None]]:
        uuid = lookup.uuid_of(wire.HOST, address)
        return [
            (event.action, event.reason)
            for event in ledger.history(self.conductor.db, uuid)
        ]

    def test_of_a_held_disk(self) -> None:
        number = self.device(self.held).serial_number
        self.insert(self.held, 'S9')
        self.report()
        device = self.device(self.held)
        self.assertEqual(
            ('conflict', number, wire.INSTANCE),
            (device.state, device.serial_number, device.instance_uuid),
        )
        self.assertIn('serial number S9 of class', str(device.conflict))
        self.assertEqual('disabled', self.device(self.free).state)

    def test_of_a_free_disk(self) -> None:
        self.insert(self.free, 'S9')
        self.report()
        device = self.device(self.free)
        self.assertEqual(
            ('available', 'S9'), (device.state, device.serial_number)
        )
        action, reason = self.events(self.free)[-1]
        self.assertEqual('replaced', action)
        self.assertIn('serial number S9', str(reason))

    def test_guest_hides_the_number(self) -> None:
        before = self.device(self.held)
        self.bind(self.held, 'vfio-pci')
        self.report()
        # An agent that starts now has never seen the number.
        self.hidden = hidden_properties.HiddenProperties()
        self.report()
        self.assertEqual(before.uuid, self.device(self.held).uuid)
        self.assertEqual(
            before.serial_number, self.device(self.held).serial_number
        )
        self.bind(self.held, 'nvme')
        self.report()
        after = self.device(self.held)
        self.assertEqual(
            (before.serial_number, None), (after.serial_number, after.conflict)
        )
        self.assertEqual(
            ['appear', 'claim'],
            [action for action, _ in self.events(self.held)],
        )


class VitalProductDataTest(testtools.TestCase):
    def test_read_once(self) -> None:
        """A card takes up to seconds to answer; scans are frequent."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        model = inventory.build_host(
            inventory.HostShape('h', nics=0, gpus=1, consumer_gpus=0)
        )
        written = testdriver.write_host(model, folder)
        libvirt = libvirt_host.LibvirtHost(written.uri)
        self.addCleanup(libvirt.close)
        libvirt.connect()
        reader = sysfs_reader.SysfsReader(str(written.host_root))
        [gpu] = [
            address
            for address, device in model.devices.items()
            if device.model.class_code >> 8 == 0x0302
        ]
        entries = pci_information.PciInformation.parse(['{"class": "0302"}'])
        place = pathlib.Path(written.host_root) / 'sys' / model.path(gpu)
        for number in (b'G1', b'G2'):
            (place / 'vpd').write_bytes(vpd(number))
            result = scan.scan(libvirt.list_node_devices(), reader, entries)
            [offered] = result.offered
            self.assertEqual('G1', offered.device.serial_number)
