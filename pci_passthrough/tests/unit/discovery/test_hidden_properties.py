# SPDX-License-Identifier: Apache-2.0
"""Tests of the memory of what devices hide while guests have them."""

from typing import Any

import testtools

from pci_passthrough.discovery import hidden_properties
from pci_passthrough.discovery import scan
from pci_passthrough.objects import device as device_obj
from pci_passthrough.tests.unit.discovery import test_scan as scans

ONE = '0000:01:00.0'
TWO = '0000:02:00.0'


class HiddenPropertiesTestCase(testtools.TestCase):
    """A device in a guest keeps its properties from before."""

    def setUp(self) -> None:
        super().setUp()
        self.hidden_properties = hidden_properties.HiddenProperties()
        self.free = scans.device(ONE)

    def _restore(self, *devices: device_obj.PciDevice) -> device_obj.PciDevice:
        return self.hidden_properties.restore(devices)[0]

    def _in_guest(
        self, driver: str | None, **changes: Any
    ) -> device_obj.PciDevice:
        return scans.device(
            ONE,
            driver=driver,
            devname=None,
            mac_address=None,
            capabilities=[],
            **changes,
        )

    def test_restores(self) -> None:
        self._restore(self.free)
        for driver in ('vfio-pci', 'mlx5_vfio_pci', 'pci-stub'):
            restored = self._restore(self._in_guest(driver, iommu_group=9))
            self.assertEqual('ice', restored.driver)
            self.assertEqual('ens1', restored.devname)
            self.assertEqual(self.free.mac_address, restored.mac_address)
            self.assertEqual(['tso'], restored.capabilities)
            self.assertEqual(9, restored.iommu_group)

    def test_moment_without_driver(self) -> None:
        self._restore(self.free)
        self.assertIsNone(self._restore(self._in_guest(None)).driver)
        self.assertEqual(
            'ice', self._restore(self._in_guest('vfio-pci')).driver
        )

    def test_changes_after_the_guest(self) -> None:
        self._restore(self.free)
        self._restore(self._in_guest('vfio-pci'))
        mac_address = '52:54:00:00:00:99'
        self._restore(scans.device(ONE, mac_address=mac_address))
        restored = self._restore(self._in_guest('vfio-pci'))
        self.assertEqual(mac_address, restored.mac_address)

    def test_serial_number_that_can_be_read(self) -> None:
        self._restore(scans.device(ONE, serial_number='S1'))
        hidden = self._in_guest('vfio-pci', serial_number=None)
        self.assertEqual('S1', self._restore(hidden).serial_number)
        other = self._in_guest('vfio-pci', serial_number='S2')
        restored = self._restore(other)
        self.assertEqual(
            ('S2', 'vfio-pci'), (restored.serial_number, restored.driver)
        )

    def test_vgpu_type_that_can_be_read(self) -> None:
        self._restore(scans.device(ONE, vgpu_type='558'))
        for vgpu_type, expected in ((None, '558'), ('559', '559')):
            in_guest = self._in_guest('vfio-pci', vgpu_type=vgpu_type)
            self.assertEqual(expected, self._restore(in_guest).vgpu_type)

    def test_nothing_is_forgotten_of_what_is_not_described(self) -> None:
        self._restore(self.free)
        self._restore(self._in_guest('vfio-pci'))
        self.assertEqual([], self.hidden_properties.restore([], [ONE]))
        self.assertEqual({ONE}, set(self.hidden_properties.given_out))
        restored = self._restore(self._in_guest('vfio-pci'))
        self.assertEqual('ice', restored.driver)

    def test_first_scan_while_in_guest(self) -> None:
        self.assertEqual(
            'vfio-pci', self._restore(self._in_guest('vfio-pci')).driver
        )

    def test_other_hardware_at_the_address(self) -> None:
        self._restore(self.free)
        other = self._in_guest('vfio-pci', product_id='159b')
        self.assertEqual('vfio-pci', self._restore(other).driver)

    def test_label_of_an_exchanged_disk_is_no_guests(self) -> None:
        for serial_number, is_same in (('A1', True), ('B1', False)):
            with self.subTest(serial_number):
                memory = hidden_properties.HiddenProperties()
                memory.restore([scans.device(ONE, serial_number='A1')])
                memory.restore([self._in_guest('vfio-pci')])
                memory.restore(
                    [scans.device(ONE, serial_number=serial_number)]
                )
                self.assertEqual(is_same, ONE in memory.given_out)

    def test_device_disappears(self) -> None:
        self._restore(self.free)
        self._restore(scans.device(TWO))
        self.assertEqual(
            'vfio-pci', self._restore(self._in_guest('vfio-pci')).driver
        )

    def test_given_out(self) -> None:
        self._restore(self.free)
        self.assertEqual([], list(self.hidden_properties.given_out))
        self._restore(self._in_guest('vfio-pci'))
        # Also after it came back.
        for driver in (None, 'ice'):
            self._restore(scans.device(ONE, driver=driver))
            self.assertEqual([ONE], list(self.hidden_properties.given_out))
        self._restore(scans.device(ONE, product_id='159b'))
        self.assertEqual([], list(self.hidden_properties.given_out))

    def test_entry_still_matches(self) -> None:
        entries = scans.information('{"driver": "ice", "devname": "ens1"}')
        self._restore(self.free)
        attached = self._restore(self._in_guest('vfio-pci'))
        result = scan.classify(
            [attached], {}, scans._functions(attached), entries
        )
        self.assertEqual(1, len(result.offered))

    def _recall(self, **facts: Any) -> None:
        """Recall a device that instances have had, as a conductor has it."""
        known = {'status': 'available', 'serial_number': 'S1', **facts}
        self.hidden_properties.recall(
            [scans.device(ONE).replace(**known)], [ONE]
        )

    def test_recalls_what_a_guest_hides(self) -> None:
        for status, driver in (
            ('claimed', 'ice'),
            ('allocated', 'ice'),
            ('available', 'vfio-pci'),
        ):
            with self.subTest(status=status):
                self.hidden_properties = hidden_properties.HiddenProperties()
                self._recall(status=status)
                restored = self._restore(self._in_guest('vfio-pci'))
                self.assertEqual(driver, restored.driver)

    def test_what_this_process_saw_is_newer(self) -> None:
        self._restore(scans.device(ONE, devname='ens9'))
        self._recall(status='allocated')
        restored = self._restore(self._in_guest('vfio-pci'))
        self.assertEqual('ens9', restored.devname)

    def test_recalls_what_was_given_out(self) -> None:
        for facts, given_out in (
            ({'serial_number': 'S1'}, [ONE]),
            # Another disk, or nobody knows.
            ({'serial_number': 'S2'}, []),
            ({'serial_number': None}, []),
            ({'serial_number': 'S1', 'product_id': '159b'}, []),
        ):
            with self.subTest(facts=facts):
                self.hidden_properties = hidden_properties.HiddenProperties()
                self._recall()
                self._restore(scans.device(ONE).replace(**facts))
                self.assertEqual(
                    given_out, list(self.hidden_properties.given_out)
                )
