# SPDX-License-Identifier: Apache-2.0
"""Tests of classifying devices and of properties hidden in guests."""

from collections.abc import Mapping
import json
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
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


#: Verdicts about one device: offered, refused, undecided, matched by no
#: entry, absent.
_VERDICTS = 'ORUN-'


def verdicts(devices: Mapping[str, str]) -> scan.Scan:
    """Return a scan with these verdicts by address."""
    others: dict[str, str] = {}
    result = scan.Scan([], [], others, use_unknown=False)
    (entry,) = information('{"vendor_id": "8086"}').entries
    for address, verdict in sorted(devices.items()):
        item = device(address)
        if verdict == 'O':
            result.offered.append(scan.Offered(item, entry))
        elif verdict in 'RU':
            reason = (
                f'{in_use.USE_UNKNOWN}EIO' if verdict == 'U' else 'mounted'
            )
            result.refused.append(scan.Refused(item, entry, reason))
        elif verdict == 'N':
            others[address] = ''
    return result


def verdict_of(result: scan.Scan, address: str) -> str:
    """Return the verdict about a device, as one letter."""
    letters = [
        'O' for item in result.offered if item.device.address == address
    ]
    letters += [
        'U' if item.is_undecided else 'R'
        for item in result.refused
        if item.device.address == address
    ]
    letters += ['N' for other in result.others if other == address]
    return ''.join(letters) or '-'


class AgreedTestCase(testtools.TestCase):
    """A verdict changes to worse only if two scans agree."""

    def test_table(self) -> None:
        """Each row: before, first, second; the verdict, whether settled."""
        for row in (
            # The first scan missed something for a moment.
            'OUO O no', 'ORO O no', 'ONO O no',
            # The second scan did; it was made because of another device.
            'OOU O no', 'OOR O no', 'OON O no',
            # Both agree that the device is not to be given away.
            'OUU U yes', 'ORR R yes', 'OUR R yes', 'ORU U yes', 'ONR R yes',
            # Nothing was offered that could get worse.
            '-UO O no', 'RUO O no', '-OR R no', '-UU U yes', 'URR R yes',
            # A device that was unplugged is not kept.
            'OU- - yes', 'OO- - yes', 'O-O O yes', 'O-R R yes',
        ):  # fmt: skip
            with self.subTest(row):
                looks, verdict, settled = row.split()
                before, first, second = (
                    verdicts({ONE: look}) for look in looks
                )
                agreement = scan.agreed(before, first, second)
                self.assertEqual(verdict, verdict_of(agreement.scan, ONE))
                self.assertEqual(settled == 'yes', agreement.is_settled)

    def test_doubt(self) -> None:
        for looks, doubtful in (
            ('OO', False), ('OR', True), ('ON', True), ('OU', True),
            ('RR', False), ('RO', False), ('UU', True), ('O-', False),
            ('-U', True), ('-R', False),
        ):  # fmt: skip
            with self.subTest(looks):
                before, first = (verdicts({ONE: look}) for look in looks)
                self.assertEqual(doubtful, scan.is_doubtful(before, first))

    @hypothesis.given(
        strategies.lists(
            strategies.tuples(*[strategies.sampled_from(_VERDICTS)] * 3),
            max_size=6,
        )
    )
    def test_devices_do_not_affect_each_other(
        self, looks: list[tuple[str, str, str]]
    ) -> None:
        names = [f'0000:0{number}:00.0' for number in range(len(looks))]
        before, first, second = (
            verdicts(
                {
                    name: look[at]
                    for name, look in zip(names, looks, strict=True)
                }
            )
            for at in range(3)
        )
        together = scan.agreed(before, first, second)
        settled = True
        for name, look in zip(names, looks, strict=True):
            alone = scan.agreed(*(verdicts({name: letter}) for letter in look))
            self.assertEqual(
                verdict_of(alone.scan, name), verdict_of(together.scan, name)
            )
            settled = settled and alone.is_settled
        self.assertEqual(settled, together.is_settled)

    def test_scans_no_more_than_twice(self) -> None:
        for looks, made in (('O', 1), ('RO', 2), ('RR', 2), ('UUO', 2)):
            with self.subTest(looks):
                scans = iter([verdicts({ONE: look}) for look in looks])
                scan.scan_twice_in_doubt(
                    verdicts({ONE: 'O'}), lambda: next(scans)
                )
                self.assertEqual(len(looks) - made, len(list(scans)))

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
