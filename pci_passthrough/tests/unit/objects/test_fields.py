# SPDX-License-Identifier: Apache-2.0
"""Tests of field types: what they take, and what they refuse."""

from typing import Any

import testtools

from pci_passthrough import objects

UUID = '5e5d5a3e-95c5-4a0a-9cd8-0c1f3a8d6a01'

ACCEPTED: list[tuple[Any, str, Any, Any]] = [
    (objects.PciDevice, 'address', '0000:65:00.1', '0000:65:00.1'),
    (objects.PciDevice, 'address', '10000:0A:1F.7', '10000:0a:1f.7'),
    (objects.PciDevice, 'address', '1-2.3', '1-2.3'),
    (objects.PciDevice, 'address', UUID, UUID),
    (objects.PciDevice, 'parent_addr', None, None),
    (objects.PciDevice, 'vendor_id', None, None),
    (objects.PciDevice, 'vendor_id', '10DE', '10de'),
    (objects.PciDevice, 'subsystem_id', None, None),
    (objects.PciDevice, 'pci_class', '0302FF', '0302ff'),
    (objects.PciDevice, 'numa_node', '1', 1),
    (objects.PciDevice, 'extra_info', {'a': 'b'}, {'a': 'b'}),
    (objects.HostReport, 'gone', ['0000:0A:00.0'], ['0000:0a:00.0']),
    (objects.PciFlavor, 'match', [], []),
    (
        objects.PciFlavor,
        'match',
        [{'numa_node': 0, 'vendor_id': ['8086', '15b3']}],
        [{'numa_node': '0', 'vendor_id': ['8086', '15b3']}],
    ),
    (objects.PciFlavor, 'vnic_type', None, None),
    (objects.PciRequest, 'numa_policy', 'socket', 'socket'),
]

REFUSED: list[tuple[Any, str, Any]] = [
    *(
        (objects.PciDevice, 'address', value)
        for value in (
            '',
            None,
            5,
            '0000:65:00.0\n',
            '-1',
            'a/b',
            'a b',
            '\N{LATIN SMALL LETTER SHARP S}',
            'a' * 64,
            ' 0000:65:00.0',
        )
    ),
    *(
        (objects.PciDevice, 'vendor_id', value)
        for value in (
            '',
            8086,
            '0x8086',
            '808',
            '80866',
            '8086\n',
            '\u0660\u0661\u0662\u0663',
        )
    ),
    (objects.PciDevice, 'pci_class', '0300'),
    (objects.PciDevice, 'dev_type', 'type-XX'),
    (objects.PciDevice, 'status', 'missing'),
    (objects.PciDevice, 'presence', None),
    (objects.PciDevice, 'numa_node', 'x'),
    (objects.HostReport, 'withdrawn', ['0000:65:00.0', '/']),
    (objects.HostReport, 'gone', '0000:65:00.0'),
    (objects.PciFlavor, 'match', None),
    (objects.PciFlavor, 'match', {'vendor_id': '8086'}),
    (objects.PciFlavor, 'match', ['8086']),
    (objects.PciFlavor, 'match', [{'vendor_id': None}]),
    (objects.PciFlavor, 'match', [{'vendor_id': {'regex': '8.*'}}]),
    (objects.PciFlavor, 'match', [{'vendor_id': ['8086', None]}]),
    (objects.PciFlavor, 'match', [{'vendor_id': True}]),
    (objects.PciFlavor, 'vnic_type', 'normal'),
    (objects.PciFlavor, 'state', 'gone'),
    (objects.PciRequest, 'numa_policy', 'nearest'),
    (objects.RefusalReason, 'condition', 'moon phase'),
    (objects.ReportAck, 'wanted', 'more'),
]


class FieldTest(testtools.TestCase):
    def test_accepted(self) -> None:
        for cls, field, value, expected in ACCEPTED:
            with self.subTest(cls=cls, field=field, value=value):
                self.assertEqual(
                    expected, getattr(cls(**{field: value}), field)
                )

    def test_refused(self) -> None:
        for cls, field, value in REFUSED:
            with self.subTest(cls=cls, field=field, value=value):
                self.assertRaises(ValueError, cls, **{field: value})

    def test_message_says_what_would_be_right(self) -> None:
        error = self.assertRaises(
            ValueError, objects.PciDevice, vendor_id='0x8086'
        )
        self.assertEqual(
            "vendor_id: '0x8086' is not an id of four hexadecimal digits such "
            'as 8086',
            str(error),
        )

    def test_match_is_a_copy(self) -> None:
        match = [{'vendor_id': ['8086']}]
        flavor = objects.PciFlavor(match=match)
        match[0]['vendor_id'].append('10de')
        self.assertEqual([{'vendor_id': ['8086']}], flavor.match)
