# SPDX-License-Identifier: Apache-2.0
"""USB devices: which are found, and how a guest gets one."""

import shutil
from xml.etree import ElementTree

from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.discovery import hidden_properties
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.resource_types import usb
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.unit.resource_types import base

TOKEN = {
    'resource_type': 'usb',
    'address': '1-1.1',
    'vendor_id': '1050',
    'product_id': '0407',
    'serial_number': 'compute-1-0001',
}


class UsbDevicesTest(base.ResourceTypeTest):
    SHAPE = {'usb_tokens': 2, 'usb_stick': True}

    def find(self, **changes: object) -> dict[str, objects.PciDevice]:
        found = usb.UsbDevices().find(self.host(**changes))
        self.assertEqual([None] * len(found), [item.refusal for item in found])
        return {str(item.device.address): item.device for item in found}

    def write(self, name: str, attribute: str, text: str) -> None:
        place = self.root / 'sys' / self.model.usb_path(name) / attribute
        place.write_text(f'{text}\n')

    def test_facts(self) -> None:
        devices = self.find()
        self.assertEqual(['1-1.1', '1-1.2', '1-2'], sorted(devices))
        self.assertEqual(
            objects.device.described(**TOKEN).reported(),
            devices['1-1.1'].reported(),
        )

    def test_the_controller_cannot_be_given_away_as_well(self) -> None:
        [controller] = {
            device.controller for device in self.model.usb_devices.values()
        }
        self.assertEqual(
            {controller},
            {item.function for item in usb.UsbDevices().find(self.host())},
        )

    def test_a_host_elsewhere_has_what_libvirt_knows(self) -> None:
        devices = self.find(root=None)
        self.assertEqual(['1-1.1', '1-1.2', '1-2'], sorted(devices))
        self.assertEqual('0781', devices['1-2'].vendor_id)
        self.assertIsNone(devices['1-2'].serial_number)

    def test_a_hub_without_devices_is_no_device(self) -> None:
        for name in ('1-1.1', '1-1.2', '1-2'):
            (self.root / 'sys/bus/usb/devices' / name).unlink()
        self.assertEqual({}, self.find())

    def test_numbers_that_prove_nothing(self) -> None:
        for first, second, known in (
            ('A1', 'A2', ['A1', 'A2']),
            ('A1', 'A1', [None, None]),
            ('000000', '', [None, None]),
            ('A\x1b1', 'A2', [None, 'A2']),
        ):
            with self.subTest((first, second)):
                self.write('1-1.1', 'serial', first)
                self.write('1-1.2', 'serial', second)
                devices = self.find()
                self.assertEqual(
                    known,
                    [
                        devices[name].serial_number
                        for name in ('1-1.1', '1-1.2')
                    ],
                )

    def test_malformed_xml_is_no_device(self) -> None:
        self.assertEqual(
            {}, self.find(documents=["<device usb_device='<'>"], root=None)
        )


class GuestDeviceTest(base.ResourceTypeTest):
    SHAPE = {'usb_tokens': 2}

    def guest_device(self, **changes: str | None) -> str:
        device = self.device(**{**TOKEN, **changes})
        return str(usb.UsbDevices().guest_device(device, str(self.root)))

    def refusal(self, **changes: str | None) -> str:
        error = self.assertRaises(
            resource_types.ResourceTypeError, self.guest_device, **changes
        )
        return str(error)

    def test_the_numbers_of_this_moment(self) -> None:
        place = self.root / 'sys' / self.model.usb_path('1-1.1')
        (place / 'devnum').write_text('117\n')
        element = ElementTree.fromstring(self.guest_device())  # noqa: S314
        self.assertEqual(
            {'mode': 'subsystem', 'type': 'usb', 'managed': 'yes'},
            element.attrib,
        )
        self.assertEqual(
            [
                ('vendor', {'id': '0x1050'}),
                ('product', {'id': '0x0407'}),
                ('address', {'bus': '1', 'device': '117'}),
            ],
            [(child.tag, child.attrib) for child in element[0]],
        )

    def test_its_node(self) -> None:
        device = self.device(**TOKEN)
        nodes = usb.UsbDevices().nodes(device, str(self.root))
        self.assertEqual(['/dev/bus/usb/001/003'], list(nodes))

    def test_nothing_is_plugged_in(self) -> None:
        shutil.rmtree(self.root / 'sys' / self.model.usb_path('1-1.1'))
        self.assertEqual(
            'no USB device is plugged in at 1-1.1', self.refusal()
        )
        device = self.device(**TOKEN)
        self.assertEqual(
            [], list(usb.UsbDevices().nodes(device, str(self.root)))
        )

    def test_another_one_is_plugged_in(self) -> None:
        for changes, reason in (
            (
                {'serial_number': 'compute-1-0002'},
                'the USB device at 1-1.1 is not 1050:0407 serial number '
                'compute-1-0002: the one with serial number compute-1-0001 '
                'is there',
            ),
            (
                {'product_id': '0120', 'serial_number': None},
                'the USB device at 1-1.1 is not 1050:0120: 1050:0407 is '
                'plugged in',
            ),
        ):
            with self.subTest(reason):
                self.assertEqual(reason, self.refusal(**changes))


class UseTest(base.ResourceTypeTest):
    """A stick with a file system, on the host and in a guest."""

    SHAPE = {'usb_stick': True, 'usb_tokens': 1}

    def setUp(self) -> None:
        super().setUp()
        self.remembered = hidden_properties.HiddenProperties()
        self.interface = (
            self.root / 'sys' / self.model.usb_path('1-2') / '1-2:1.0'
        )

    def verdicts(self) -> dict[str, str]:
        """Scan; return why devices are refused, empty if they are offered."""
        information = pci_information.PciInformation.parse(
            ['{"resource_type": "usb", "port": "*"}']
        )
        result = scan.scan(
            self.documents,
            sysfs_reader.SysfsReader(str(self.root)),
            information,
            self.remembered,
            types=resource_types.load(),
            host='compute-1',
        )
        return {
            **{str(item.device.address): '' for item in result.offered},
            **{
                str(item.device.address): item.reason
                for item in result.refused
            },
        }

    def unmount(self) -> None:
        (self.root / 'proc/1/mountinfo').write_text(
            '23 1 0:22 / /proc rw - proc proc rw\n'
        )

    def bind(self, driver: str) -> None:
        """Let a driver have the interface of the stick."""
        folder = self.root / 'sys/bus/usb/drivers' / driver
        folder.mkdir(exist_ok=True)
        (self.interface / 'driver').unlink()
        (self.interface / 'driver').symlink_to(folder)

    def test_a_mounted_stick(self) -> None:
        self.assertEqual(
            {'1-1.1': '', '1-2': 'its disk sda is mounted at /mnt/backup'},
            self.verdicts(),
        )

    def test_an_unreadable_mount_table(self) -> None:
        (self.root / 'proc/1/mountinfo').unlink()
        (self.root / 'run/udev/data/b8:0').write_text('I:1\n')
        verdicts = self.verdicts()
        self.assertEqual('', verdicts['1-1.1'])
        self.assertIn('unknown whether the host uses it', verdicts['1-2'])

    def test_a_label_of_the_host(self) -> None:
        self.unmount()
        self.assertEqual(
            'its disk sda has the label vfat', self.verdicts()['1-2']
        )

    def test_a_label_that_a_guest_has_left(self) -> None:
        self.unmount()
        self.bind('usbfs')
        self.verdicts()
        self.bind('usb-storage')
        self.assertEqual('', self.verdicts()['1-2'])
        (self.interface.parent / 'serial').write_text('ANOTHER\n')
        self.assertIn('has the label', self.verdicts()['1-2'])

    def test_a_label_that_a_guest_has_left_before_this_process(self) -> None:
        self.unmount()
        for number, verdict in (('AA010203', ''), ('AA010204', 'its disk')):
            self.remembered = hidden_properties.HiddenProperties()
            known = self.device(
                resource_type='usb',
                address='1-2',
                vendor_id='0781',
                product_id='5581',
                serial_number=number,
            ).replace(status='available')
            self.remembered.recall([known], ['1-2'])
            self.assertEqual(verdict, self.verdicts()['1-2'][:8])
