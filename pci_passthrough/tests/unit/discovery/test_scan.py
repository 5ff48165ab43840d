# SPDX-License-Identifier: Apache-2.0

import json
from typing import Any

import testtools

from pci_passthrough.discovery import host_use
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
        'extra_info': {},
        'offered_by': None,
    }
    return device_obj.PciDevice(address=address, **{**values, **changes})


def information(*values: str) -> pci_information.PciInformation:
    return pci_information.PciInformation.parse(values)


_MANY_TAGS = {f'tag_{number}': 'x' * 200 for number in range(30)}

ONE, TWO, THREE, FOUR = (f'0000:0{number}:00.0' for number in range(1, 5))


class OfferTestCase(testtools.TestCase):
    """What becomes of each device."""

    def test_what_offers_a_device(self) -> None:
        result = scan.offer(
            [device(ONE), device(TWO), device(THREE, vendor_id='10de')],
            {},
            information(
                f'{{ "vendor_id":"8086", "address": "{ONE}"}}',
                '[{"vendor_id": "8086"}, {"e.group": "\u00e4"}]',
                json.dumps({'vendor_id': '10de', **_MANY_TAGS}),
            ),
        )
        one, two, three = (offer.device.offered_by for offer in result.offered)
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
        result = scan.offer(
            devices,
            {TWO: 'it is mounted', THREE: 'not asked for'},
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
        self.assertEqual([THREE, FOUR], result.others)
        self.assertEqual([TWO, THREE, FOUR], result.withdrawn)
        self.assertFalse(result.use_unknown)
        self.assertEqual({}, devices[2].extra_info)

    def test_allow_in_use(self) -> None:
        result = scan.offer(
            [device(ONE)],
            {ONE: 'it is mounted'},
            information(
                '{"match": {"vendor_id": "8086"}, "allow_in_use": true}'
            ),
        )
        self.assertEqual([], result.refused)
        self.assertEqual([ONE], [one.device.address for one in result.offered])

    def test_use_unknown(self) -> None:
        result = scan.offer(
            [device(ONE)], None, information('{"vendor_id": "8086"}')
        )
        self.assertTrue(result.use_unknown)
        self.assertEqual(1, len(result.offered))

    def test_interface_name_of_the_physical_function(self) -> None:
        devices = [
            device(ONE, devname='ens1', dev_type='type-PF'),
            device(TWO, devname='ens1v0', dev_type='type-VF', parent_addr=ONE),
            device(THREE, devname='ens3'),
        ]
        result = scan.offer(devices, {}, information('{"devname": "ens1"}'))
        self.assertEqual(
            [ONE, TWO], [one.device.address for one in result.offered]
        )

    def test_nothing_configured_offers_nothing(self) -> None:
        result = scan.offer([device(ONE)], {}, information())
        self.assertEqual([ONE], result.withdrawn)


class FillInTestCase(testtools.TestCase):
    """Sysfs adds to what libvirt tells and does not overrule it."""

    def test_fill_in(self) -> None:
        devices = [device(ONE), device(TWO, driver=None), device(THREE)]
        facts = {
            address: host_use.Function(
                address,
                subsystem_vendor_id='1af4',
                subsystem_id='1100',
                driver='other',
                total_vfs=7,
            )
            for address in (ONE, TWO)
        }
        scan.fill_in(devices, facts)
        self.assertEqual(
            [
                ('1af4', '1100', 'ice', 7),
                ('1af4', '1100', 'other', 7),
                (None, None, 'ice', None),
            ],
            [
                (
                    one.subsystem_vendor_id,
                    one.subsystem_id,
                    one.driver,
                    one.total_vfs,
                )
                for one in devices
            ],
        )


class RememberedTestCase(testtools.TestCase):
    """A guest's device keeps what it was before."""

    def setUp(self) -> None:
        super().setUp()
        self.remembered = scan.Remembered()
        self.free = device(ONE)

    def _see(self, *devices: device_obj.PciDevice) -> device_obj.PciDevice:
        return self.remembered.restore(devices)[0]

    def _attached(
        self, driver: str | None, **changes: Any
    ) -> device_obj.PciDevice:
        return device(
            ONE,
            driver=driver,
            devname=None,
            mac_address=None,
            capabilities=[],
            **changes,
        )

    def test_restores(self) -> None:
        self._see(self.free)
        for driver in ('vfio-pci', 'mlx5_vfio_pci', 'pci-stub'):
            seen = self._see(self._attached(driver, iommu_group=9))
            self.assertEqual('ice', seen.driver)
            self.assertEqual('ens1', seen.devname)
            self.assertEqual(self.free.mac_address, seen.mac_address)
            self.assertEqual(['tso'], seen.capabilities)
            self.assertEqual(self.free.iommu_group, seen.iommu_group)

    def test_the_moment_without_driver(self) -> None:
        self._see(self.free)
        self.assertIsNone(self._see(self._attached(None)).driver)
        self.assertEqual('ice', self._see(self._attached('vfio-pci')).driver)

    def test_back_from_the_guest_it_learns_anew(self) -> None:
        self._see(self.free)
        self._see(self._attached('vfio-pci'))
        mac_address = '52:54:00:00:00:99'
        self._see(device(ONE, mac_address=mac_address))
        seen = self._see(self._attached('vfio-pci'))
        self.assertEqual(mac_address, seen.mac_address)

    def test_never_seen_with_a_driver_of_its_own(self) -> None:
        self.assertEqual(
            'vfio-pci', self._see(self._attached('vfio-pci')).driver
        )

    def test_another_card_at_the_address(self) -> None:
        self._see(self.free)
        other = self._attached('vfio-pci', product_id='159b')
        self.assertEqual('vfio-pci', self._see(other).driver)

    def test_forgets_what_is_gone(self) -> None:
        self._see(self.free)
        self._see(device(TWO))
        self.assertEqual(
            'vfio-pci', self._see(self._attached('vfio-pci')).driver
        )

    def test_entry_goes_on_matching(self) -> None:
        entries = information('{"driver": "ice", "devname": "ens1"}')
        self._see(self.free)
        attached = self._see(self._attached('vfio-pci'))
        result = scan.offer([attached], {}, entries)
        self.assertEqual(1, len(result.offered))
