# SPDX-License-Identifier: Apache-2.0
"""USB and mediated devices on a simulated host, through the real libvirtd."""

import functools
import os
from xml.etree import ElementTree

from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.demo import inventory
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.functional import test_lab
from pci_passthrough.tests.functional.services import programs

_USB = '{"match": {"resource_type": "usb", "port": "*"}}'
_VGPU = (
    '{"match": {"resource_type": "mdev", "vendor_id": "10de"}, '
    '"type": "nvidia-558", "count": 2}'
)
_ALL_FUNCTIONS = '{"match": {"address": "*"}}'


class ResourceTypesInTheLabTest(test_lab.LabTestCase):
    def setUp(self) -> None:
        super().setUp()
        if os.geteuid():
            self.skipTest("only root can read the host's files")
        self.fixture = self.start(
            inventory.HostShape(
                'lab-1',
                nics=0,
                gpus=0,
                nvmes=0,
                consumer_gpus=0,
                vgpu_cards=1,
                usb_tokens=1,
                usb_stick=True,
            )
        )
        self.connection = self.connect(self.fixture)
        self.libvirt = libvirt_host.LibvirtHost(self.fixture.uri)
        self.libvirt.connect()
        self.addCleanup(self.libvirt.close)
        self.root = str(self.fixture.host_root)
        [self.gpu] = [
            address
            for address, device in self.fixture.host.devices.items()
            if device.model.mediated_types
        ]
        [self.controller] = {
            device.controller
            for device in self.fixture.host.usb_devices.values()
        }

    def look(self, *entries: str) -> scan.Scan:
        return scan.scan(
            self.libvirt.list_node_devices(),
            sysfs_reader.SysfsReader(self.root),
            pci_information.PciInformation.parse(entries),
            types=resource_types.load(),
            host='lab-1',
        )

    def refusals(self, result: scan.Scan) -> dict[str, str]:
        return {
            str(item.device.address): item.reason for item in result.refused
        }

    def test_usb(self) -> None:
        self.fixture.mount_disk('sda', '/mnt/backup')
        result = self.look(_USB, _ALL_FUNCTIONS)
        [token] = [
            item.device
            for item in result.offered
            if item.device.resource_type == 'usb'
        ]
        self.assertEqual(
            ('1-1.1', '1050', '0407', 'lab-1-0001'),
            (
                token.address,
                token.vendor_id,
                token.product_id,
                token.serial_number,
            ),
        )
        refusals = self.refusals(result)
        self.assertEqual({'1-2', self.controller}, set(refusals))
        self.assertEqual(
            'its disk sda is mounted at /mnt/backup', refusals['1-2']
        )
        self.assertIn(
            'its usb device 1-1.1 is offered', refusals[self.controller]
        )
        self.check_known_to_libvirt(token)

    def check_known_to_libvirt(self, device: objects.PciDevice) -> None:
        """Check that libvirt accepts the element for a guest."""
        types = resource_types.load()
        element = types[device.resource_type].guest_device(device, self.root)
        domain = (
            "<domain type='qemu'><name>g0</name><memory>65536</memory>"
            "<os><type arch='x86_64'>hvm</type></os><devices>"
            f'{element}</devices></domain>'
        )
        defined = self.connection.defineXML(domain)
        self.addCleanup(defined.undefine)
        parsed = ElementTree.fromstring(defined.XMLDesc(0))  # noqa: S314
        [source] = parsed.findall('devices/hostdev/source')
        wanted = ElementTree.fromstring(str(element))[0]  # noqa: S314
        address, wanted_address = (
            source.find('address'),
            wanted.find('address'),
        )
        assert address is not None and wanted_address is not None
        self.assertEqual(wanted_address.attrib, address.attrib)

    def test_mediated_devices(self) -> None:
        result = self.look(_VGPU, _ALL_FUNCTIONS)
        planned = [
            item.device
            for item in result.offered
            if item.device.resource_type == 'mdev'
        ]
        self.assertEqual(2, len(planned))
        self.assertIn(
            f'its mdev device {planned[0].address} is offered',
            self.refusals(result)[self.gpu],
        )
        for number, device in enumerate(planned, 1):
            device = device.replace(extra_info={'type': 'nvidia-558'})
            self.run_verb('setup', device)
            programs.wait_for(
                functools.partial(self.lists, number),
                'libvirt lists the mediated device',
            )
        self.assertEqual({device.address for device in planned}, self.listed())
        self.check_known_to_libvirt(
            planned[0].replace(extra_info={'type': 'nvidia-558'})
        )
        again = self.look(_VGPU, _ALL_FUNCTIONS)
        self.assertEqual(
            [item.device.address for item in result.offered],
            [item.device.address for item in again.offered],
        )
        self.run_verb('clean', planned[0])
        programs.wait_for(
            lambda: self.listed() == {planned[1].address}, 'it is gone'
        )

    def lists(self, number: int) -> bool:
        return len(self.listed()) == number

    def listed(self) -> set[str]:
        """Return the UUIDs of the mediated devices that libvirt lists."""
        uuids = set()
        for document in self.libvirt.list_node_devices():
            if isinstance(document, str) and "type='mdev'" in document:
                element = ElementTree.fromstring(document)  # noqa: S314
                uuids.add(str(element.findtext('capability/uuid')))
        return uuids

    def run_verb(self, verb: str, device: objects.PciDevice) -> None:
        outcome = verb_run.run(
            verb_process.Request(
                verb=handlers.Verb(verb),
                handler='mdev',
                device=handlers.Device.of(device),
                host=handlers.Host(self.root),
                in_process=True,
            ),
            programs.PATIENCE,
            lambda percent, text: None,
            lambda: True,
        )
        self.assertTrue(outcome.succeeded, outcome.output)
