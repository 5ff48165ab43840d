# SPDX-License-Identifier: Apache-2.0
"""Tests of classifying devices and of properties hidden in guests."""

import json
from typing import Any

import testtools

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import scan
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information


def device(address: str, **changes: Any) -> device_obj.PciDevice:
    values: dict[str, Any] = {
        'parent_addr': None,
        'dev_type': 'type-PCI',
        'vendor_id': '8086',
        'product_id': '1592',
        'subsystem_vendor_id': None,
        'subsystem_id': None,
        'pci_class': '020000',
        'driver': 'ice',
        'numa_node': 0,
        'iommu_group': 1,
        'devname': 'ens1',
        'mac_address': '52:54:00:00:00:01',
        'link_speed': None,
        'total_vfs': None,
        'capabilities': ['tso'],
        'vgpu_type': None,
        'extra_info': {},
        'offered_by': None,
    }
    return device_obj.PciDevice(address=address, **{**values, **changes})


def information(*values: str) -> pci_information.PciInformation:
    return pci_information.PciInformation.parse(values)


def _functions(
    *devices: device_obj.PciDevice,
) -> dict[str, host_facts.Function]:
    """Return facts of devices with an IOMMU group each."""
    return {
        device.address: host_facts.Function(device.address, iommu_group=number)
        for number, device in enumerate(devices)
    }


_MANY_TAGS = {f'tag_{number}': 'x' * 200 for number in range(30)}

ONE, TWO, THREE, FOUR = (f'0000:0{number}:00.0' for number in range(1, 5))


class ClassifyTestCase(testtools.TestCase):
    """Sorts devices into offered, refused and others."""

    def test_offered_by(self) -> None:
        devices = [device(ONE), device(TWO), device(THREE, vendor_id='10de')]
        result = scan.classify(
            devices,
            {},
            _functions(*devices),
            information(
                f'{{ "vendor_id":"8086", "address": "{ONE}"}}',
                '[{"vendor_id": "8086"}, {"e.group": "\u00e4"}]',
                json.dumps({'vendor_id': '10de', **_MANY_TAGS}),
            ),
        )
        one, two, three = (item.device.offered_by for item in result.offered)
        self.assertEqual(f'{{"address": "{ONE}", "vendor_id": "8086"}}', one)
        self.assertEqual(
            [{'vendor_id': '8086'}, {'e.group': 'ä'}], json.loads(str(two))
        )
        self.assertEqual(4096, len(str(three)))
        self.assertTrue(str(three).endswith('...'))

    def test_each_kind(self) -> None:
        devices = [
            device(FOUR),
            device(TWO),
            device(ONE),
            device(THREE, vendor_id='10de'),
        ]
        result = scan.classify(
            devices,
            {TWO: 'it is mounted', THREE: 'not asked for'},
            _functions(*devices),
            information(
                f'{{"match": {{"address": "{FOUR}"}}, "exclude": true}}',
                '{"match": {"vendor_id": "8086"},'
                ' "extra_info": {"group": "10g"}}',
            ),
        )
        (offered,) = result.offered
        self.assertEqual(ONE, offered.device.address)
        self.assertEqual({'group': '10g'}, offered.device.extra_info)
        self.assertEqual(1, offered.entry.index)
        (refused,) = result.refused
        self.assertEqual(TWO, refused.device.address)
        self.assertEqual('it is mounted', refused.reason)
        self.assertEqual('it is mounted', refused.device.refusal)
        self.assertEqual([THREE, FOUR], sorted(result.others))
        self.assertFalse(result.use_unknown)
        self.assertEqual({}, devices[2].extra_info)

    def test_allow_in_use(self) -> None:
        result = scan.classify(
            [device(ONE)],
            {ONE: 'it is mounted'},
            _functions(device(ONE)),
            information(
                '{"match": {"vendor_id": "8086"}, "allow_in_use": true}'
            ),
        )
        self.assertEqual([], result.refused)
        self.assertEqual(
            [ONE], [item.device.address for item in result.offered]
        )

    def test_confirm_new(self) -> None:
        for value in (True, False):
            entry = {'vendor_id': '8086', 'confirm_new': value}
            result = scan.classify(
                [device(ONE)],
                {},
                _functions(device(ONE)),
                information(json.dumps(entry)),
            )
            [offered] = result.offered
            self.assertEqual(value, offered.device.get('confirm_new', False))

    def test_allow_in_use_does_not_make_it_deliverable(self) -> None:
        undeliverable = (
            'it is in no IOMMU group: the IOMMU is off, or this device has '
            'none'
        )
        for allow, reason in (
            ('false', f'it is mounted; {undeliverable}'),
            (
                'true',
                f'{undeliverable}; "allow_in_use" does not change this',
            ),
        ):
            result = scan.classify(
                [device(ONE)],
                {ONE: 'it is mounted'},
                {ONE: host_facts.Function(ONE)},
                information(
                    '{"match": {"vendor_id": "8086"}, '
                    f'"allow_in_use": {allow}}}'
                ),
            )
            self.assertEqual([], result.offered)
            self.assertEqual(reason, result.refused[0].reason)
            self.assertEqual(reason, result.refused[0].device.refusal)

    def test_use_unknown(self) -> None:
        result = scan.classify(
            [device(ONE)], None, {}, information('{"vendor_id": "8086"}')
        )
        self.assertTrue(result.use_unknown)
        self.assertEqual(1, len(result.offered))

    def test_interface_name_of_the_physical_function(self) -> None:
        devices = [
            device(ONE, devname='ens1', dev_type='type-PF'),
            device(TWO, devname='ens1v0', dev_type='type-VF', parent_addr=ONE),
            device(THREE, devname='ens3'),
        ]
        result = scan.classify(
            devices,
            {},
            _functions(*devices),
            information('{"devname": "ens1"}'),
        )
        self.assertEqual(
            [ONE, TWO], [item.device.address for item in result.offered]
        )

    def test_no_entries(self) -> None:
        result = scan.classify([device(ONE)], {}, {}, information())
        self.assertEqual({ONE: '8086:1592:::'}, result.others)

    def test_others_without_facts_that_cannot_be_recorded(self) -> None:
        devices = [
            device(ONE, serial_number='A'),
            device(TWO, serial_number='\x1b[31m'),
        ]
        result = scan.classify(
            devices,
            {},
            _functions(*devices),
            information('{"vendor_id": "10de"}'),
        )
        self.assertEqual(
            {ONE: '8086:1592:::A', TWO: '8086:1592:::'}, result.others
        )


class AddSysfsPropertiesTestCase(testtools.TestCase):
    """Sysfs adds properties and does not replace those of libvirt."""

    def test_add_sysfs_properties(self) -> None:
        devices = [device(ONE), device(TWO, driver=None), device(THREE)]
        facts = {
            address: host_facts.Function(
                address,
                subsystem_vendor_id='1af4',
                subsystem_id='1100',
                driver='other',
                total_vfs=7,
                vgpu_type=vgpu_type,
            )
            for address, vgpu_type in ((ONE, '558'), (TWO, '0'))
        }
        scan.add_sysfs_properties(devices, facts)
        self.assertEqual(
            [
                ('1af4', '1100', 'ice', 7, '558'),
                ('1af4', '1100', 'other', 7, None),
                (None, None, 'ice', None, None),
            ],
            [
                (
                    item.subsystem_vendor_id,
                    item.subsystem_id,
                    item.driver,
                    item.total_vfs,
                    item.vgpu_type,
                )
                for item in devices
            ],
        )
