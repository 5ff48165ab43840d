# SPDX-License-Identifier: Apache-2.0
"""Tests of the agent's side of a report."""

from typing import Any

import testtools

from pci_passthrough import objects
from pci_passthrough import reporting

HEADER = {'host': 'h1', 'agent_version': '1', 'sequence': 5}

#: Each reported fact, with another value than ``device`` gives it.
OTHER_FACTS: dict[str, Any] = {
    'address': '0000:01:00.7',
    'parent_addr': '0000:01:00.0',
    'dev_type': 'type-VF',
    'vendor_id': '8086',
    'product_id': '1592',
    'subsystem_vendor_id': '8086',
    'subsystem_id': '0001',
    'pci_class': '020000',
    'driver': 'vfio-pci',
    'numa_node': 1,
    'iommu_group': 3,
    'devname': 'eth0',
    'mac_address': '52:54:00:00:00:01',
    'link_speed': 100000,
    'total_vfs': 8,
    'capabilities': ['tso'],
    'extra_info': {'group': 'b'},
    'offered_by': '{"devname": "eth0"}',
    'serial_number': 'S1',
    'vgpu_type': '558',
    'resource_type': 'usb',
    'refusal': 'it is mounted',
    'handlers': ['reset'],
    'on_failure': 'retry',
}


def device(address: str, **facts: Any) -> objects.PciDevice:
    """Return a device as an agent reports it."""
    return objects.PciDevice(
        address=address,
        **{
            'parent_addr': None,
            'dev_type': 'type-PCI',
            'vendor_id': '10de',
            'product_id': '2330',
            'subsystem_vendor_id': None,
            'subsystem_id': None,
            'pci_class': '030200',
            'driver': None,
            'numa_node': None,
            'iommu_group': None,
            'devname': None,
            'mac_address': None,
            'link_speed': None,
            'total_vfs': None,
            'capabilities': [],
            'extra_info': {'a': '1', 'group': 'a'},
            'offered_by': '{"vendor_id": "10de"}',
            **facts,
        },
    )


ONE, TWO, THREE, FOUR = (f'0000:0{i}:00.0' for i in range(1, 5))


class DigestTest(testtools.TestCase):
    def test_order_does_not_count(self) -> None:
        tags = {'group': 'a', 'a': '1'}
        self.assertEqual(
            reporting.Snapshot.of(
                [device(ONE), device(TWO)], [THREE, FOUR]
            ).digest,
            reporting.Snapshot.of(
                [device(TWO, extra_info=tags), device(ONE)], [FOUR, THREE]
            ).digest,
        )

    def test_every_fact_counts(self) -> None:
        self.assertEqual(set(objects.device.REPORTED_FIELDS), set(OTHER_FACTS))
        before = reporting.Snapshot.of([device(ONE)]).digest
        for name, value in OTHER_FACTS.items():
            with self.subTest(name=name):
                other = device(ONE).replace(**{name: value})
                digest = reporting.Snapshot.of([other]).digest
                passing = name in objects.device.PASSING_FIELDS
                self.assertEqual(passing, digest == before)

    def test_mac_address_of_a_virtual_function_does_not_count(self) -> None:
        digests = {
            reporting.Snapshot.of(
                [device(TWO, parent_addr=ONE, mac_address=mac_address)]
            ).digest
            for mac_address in ('52:54:00:00:00:01', '52:54:00:00:00:02')
        }
        self.assertEqual(1, len(digests))

    def test_identity_of_withdrawn_devices_counts(self) -> None:
        digests = {
            reporting.Snapshot.of([], {ONE: what}).digest
            for what in ('10de:20b5:::', '1b21:2142:::')
        }
        self.assertEqual(2, len(digests))

    def test_where_a_device_is_counts(self) -> None:
        digests = {
            reporting.Snapshot.of(offered, withdrawn).digest
            for offered, withdrawn in (
                ([], []),
                ([device(ONE)], []),
                ([], [ONE]),
                ([], [ONE, TWO]),
                ([device(ONE)], [TWO]),
                ([device(ONE), device(TWO)], []),
            )
        }
        self.assertEqual(6, len(digests))

    def test_owner_does_not_count(self) -> None:
        held = device(ONE).replace(status='claimed', presence='offered')
        self.assertEqual(
            reporting.Snapshot.of([device(ONE)], []).digest,
            reporting.Snapshot.of([held], []).digest,
        )


class ReportTest(testtools.TestCase):
    def test_offered_is_not_withdrawn(self) -> None:
        snapshot = reporting.Snapshot.of([device(ONE)], [ONE, TWO])
        self.assertEqual([TWO], list(snapshot.withdrawn))

    def test_full(self) -> None:
        snapshot = reporting.Snapshot.of([device(ONE)], [THREE, TWO])
        report = snapshot.full_report(**HEADER)
        self.assertTrue(report.is_full)
        self.assertEqual('h1', report.host)
        self.assertEqual(5, report.sequence)
        self.assertEqual(snapshot.digest, report.digest)
        self.assertEqual([device(ONE)], report.offered)
        self.assertEqual([TWO, THREE], report.withdrawn)
        self.assertEqual([], report.gone)

    def test_since(self) -> None:
        before = reporting.Snapshot.of(
            [device(ONE), device(TWO), device(THREE)], [FOUR]
        )
        changed = device(TWO, driver='ice')
        after = reporting.Snapshot.of(
            [device(ONE), changed, device(FOUR)], [THREE]
        )
        report = after.report_since(before, 7, **HEADER)
        self.assertFalse(report.is_full)
        self.assertEqual(7, report.base_generation)
        self.assertEqual(after.digest, report.digest)
        self.assertEqual([changed, device(FOUR)], report.offered)
        self.assertEqual([THREE], report.withdrawn)
        self.assertEqual([], report.gone)
        report = reporting.Snapshot.of([device(ONE)], []).report_since(
            after, 8, **HEADER
        )
        self.assertEqual([], report.offered + report.withdrawn)
        self.assertEqual([TWO, THREE, FOUR], report.gone)

    def test_since_the_same(self) -> None:
        snapshot = reporting.Snapshot.of([device(ONE)], [TWO])
        report = snapshot.report_since(snapshot, 7, **HEADER)
        self.assertEqual([], report.offered + report.withdrawn + report.gone)
