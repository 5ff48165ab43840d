# SPDX-License-Identifier: Apache-2.0
"""Tests of serial numbers: vital product data and their files."""

import pathlib

import fixtures
import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough.discovery import serial_numbers
from pci_passthrough.discovery import vital_product_data
from pci_passthrough.tests.unit.discovery import test_scan


def field(keyword: bytes, value: bytes) -> bytes:
    return keyword + bytes([len(value)]) + value


def resource(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + len(content).to_bytes(2, 'little') + content


def vpd(serial: bytes, *, is_intact: bool = True) -> bytes:
    """Return vital product data with a checksum."""
    name = resource(0x82, b'A card')
    fields = field(b'PN', b'P-1') + field(b'SN', serial) + b'RV\x01'
    head = bytes([0x90]) + (len(fields) + 1).to_bytes(2, 'little')
    data = name + head + fields
    checksum = -sum(data) % 256
    if not is_intact:
        checksum = (checksum + 1) % 256
    return data + bytes([checksum]) + b'\x78'


class VitalProductDataTest(testtools.TestCase):
    def test_table(self) -> None:
        for data, serial in (
            (vpd(b'MT2116X09281'), 'MT2116X09281'),
            (vpd(b' S 1 \0\0'), 'S 1'),
            (vpd(b'MT2116X09281', is_intact=False), None),
            (vpd(b'00000000'), None),
            (vpd(b'00-00:00'), None),
            (vpd(b'N/A'), None),
            (vpd(b'To Be Filled By O.E.M.'), None),
            (vpd(b''), None),
            (vpd(b'\xff\xfe\x01'), None),
            (resource(0x90, field(b'SN', b'S1')), 'S1'),
            (resource(0x91, field(b'SN', b'S1')), None),
            (b'\x78' + resource(0x90, field(b'SN', b'S1')), None),
            (resource(0x90, field(b'SN', b'S1'))[:-1], None),
            (b'\xff' * 4096, None),
            (b'', None),
        ):
            with self.subTest(data=data):
                self.assertEqual(
                    serial, vital_product_data.serial_number(data)
                )

    @hypothesis.given(strategies.binary(max_size=64))
    def test_garbage(self, data: bytes) -> None:
        serial = vital_product_data.serial_number(b'\x90\x30\x00' + data)
        if serial is not None:
            self.assertTrue(serial.isprintable())
        vital_product_data.serial_number(data)

    @hypothesis.given(
        strategies.text('ABC123', min_size=2).filter(
            lambda text: len(set(text)) > 1 and len(text) < 100
        )
    )
    def test_what_was_written_is_read(self, text: str) -> None:
        self.assertEqual(
            text, vital_product_data.serial_number(vpd(text.encode()))
        )


class SerialNumbersTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.folder = self.root / 'sys/bus/pci/devices/0000:41:00.0'
        self.folder.mkdir(parents=True)
        self.numbers = serial_numbers.SerialNumbers(str(self.root))

    def read(self, pci_class: str, **facts: object) -> str | None:
        device = test_scan.device(
            '0000:41:00.0', pci_class=pci_class, **facts
        ).replace(serial_number=None)
        self.numbers.add([device])
        serial: str | None = device.serial_number
        return serial

    def test_nvme(self) -> None:
        self.assertIsNone(self.read('010802'))
        (self.folder / 'nvme/nvme0').mkdir(parents=True)
        (self.folder / 'nvme/nvme0/serial').write_text('S5XX 1     \n')
        (self.folder / 'vpd').write_bytes(vpd(b'OTHER'))
        self.assertEqual('S5XX 1', self.read('010802'))

    def test_nic(self) -> None:
        interface = self.root / 'sys/class/net/eth0'
        interface.mkdir(parents=True)
        (interface / 'address').write_text('b4:96:91:00:00:03\n')
        for assignment, serial in (('0', 'b4:96:91:00:00:03'), ('3', None)):
            (interface / 'addr_assign_type').write_text(f'{assignment}\n')
            self.assertEqual(serial, self.read('020000', devname='eth0'))
        self.assertIsNone(self.read('020000', devname=None))
        self.assertIsNone(
            self.read('020000', devname='eth0', parent_addr='0000:41:00.1')
        )

    def test_addresses_that_are_not_the_manufacturers(self) -> None:
        interface = self.root / 'sys/class/net/eth0'
        interface.mkdir(parents=True)
        (interface / 'addr_assign_type').write_text('0\n')
        for address in (
            'b6:96:91:00:00:03',
            '01:00:5e:00:00:01',
            '00:00:00:00:00:00',
            'ff:ff:ff:ff:ff:ff',
            '',
            'x',
        ):
            with self.subTest(address):
                (interface / 'address').write_text(f'{address}\n')
                self.assertIsNone(self.read('020000', devname='eth0'))

    def test_equal_numbers_prove_nothing(self) -> None:
        for other, facts, is_unique in (
            ('0000:42:00.0', {}, False),
            ('0000:41:00.1', {}, True),
            ('0000:42:00.0', {'product_id': '1593'}, True),
            ('0000:42:00.0', {'serial_number': 'B1'}, True),
        ):
            with self.subTest(other=other, facts=facts):
                card = {'pci_class': '030200', 'serial_number': 'A1'}
                devices = [
                    test_scan.device('0000:41:00.0', **card),
                    test_scan.device(other, **{**card, **facts}),
                ]
                self.numbers.add(devices)
                self.assertEqual(
                    'A1' if is_unique else None, devices[0].serial_number
                )

    def test_vital_product_data_are_read_once(self) -> None:
        self.assertIsNone(self.read('030200'))
        (self.folder / 'vpd').write_bytes(vpd(b'G1'))
        self.assertIsNone(self.read('030200'))
        # The card was taken out, and another one put in.
        self.folder.rename(self.root / 'gone')
        self.folder.mkdir()
        (self.folder / 'vpd').write_bytes(vpd(b'G2'))
        self.assertEqual('G2', self.read('030200'))

    def test_unreadable(self) -> None:
        (self.folder / 'vpd').mkdir()
        self.assertIsNone(self.read('030200'))
