# SPDX-License-Identifier: Apache-2.0
"""Tests of reading sysfs."""

import fixtures
import testtools

from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.tests.unit.discovery import host_tree


class SysfsReaderTestCase(testtools.TestCase):
    """Reads the properties of functions."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.tree = self.useFixture(host_tree.HostTree())
        self.reader = sysfs_reader.SysfsReader(str(self.tree.root))

    def test_properties(self) -> None:
        folder = self.tree.device(host_tree.NIC)
        self.tree.write(f'{folder}/subsystem_vendor', '0x1af4')
        self.tree.write(f'{folder}/subsystem_device', '0x0001')
        self.tree.write(f'{folder}/sriov_totalvfs', '7')
        self.tree.link(f'{folder}/driver', 'sys/bus/pci/drivers/igb')
        self.assertEqual(
            ('1af4', '0001', 'igb', 7), self.properties(host_tree.NIC)
        )

    def test_no_properties(self) -> None:
        self.assertEqual(
            (None, None, None, None), self.properties(host_tree.GPU)
        )

    def properties(self, address: str) -> tuple[object, ...]:
        function = self.reader.facts().functions[address]
        return (
            function.subsystem_vendor_id,
            function.subsystem_id,
            function.driver,
            function.total_vfs,
        )

    def test_facts_for_guests(self) -> None:
        folder = self.tree.device(host_tree.GPU)
        self.tree.link(f'{folder}/iommu_group', 'sys/kernel/iommu_groups/17')
        self.tree.write(f'{folder}/nvidia/current_vgpu_type', '558')
        for name in (
            '4b20d080-1b54-4048-85b3-a6a62d165c01',
            'mdev_supported_types',
        ):
            (self.tree.root / folder / name).mkdir()
        folder = self.tree.device(host_tree.DISK)
        self.tree.write(f'{folder}/secondary_bus_number', '3')
        (self.tree.root / folder / 'nvidia').mkdir()
        for address, expected in (
            (host_tree.GPU, (17, False, True, True, '558')),
            (host_tree.DISK, (None, True, False, False, None)),
            (host_tree.NIC, (None, False, False, False, None)),
        ):
            function = self.reader.facts().functions[address]
            self.assertEqual(
                expected,
                (
                    function.iommu_group,
                    function.has_secondary_bus,
                    function.has_mediated_devices,
                    function.supports_mediated_devices,
                    function.vgpu_type,
                ),
            )

    def test_no_number(self) -> None:
        """One bad fact costs one fact; an identity is needed."""
        gpu = self.tree.device(host_tree.GPU)
        self.tree.write(f'{gpu}/numa_node', 'x')
        self.tree.write(f'{gpu}/sriov_totalvfs', '')
        nic = self.tree.device(host_tree.NIC)
        self.tree.write(f'{nic}/numa_node', '1')
        self.tree.write(f'{nic}/sriov_totalvfs', '-')
        disk = self.tree.device(host_tree.DISK)
        self.tree.write(f'{disk}/vendor', '0xxx')
        facts = self.reader.facts()
        for address, numa_node in ((host_tree.GPU, None), (host_tree.NIC, 1)):
            function = facts.functions[address]
            self.assertEqual(numa_node, function.numa_node)
            self.assertIsNone(function.total_vfs)
        self.assertNotIn(host_tree.DISK, facts.functions)
        [unreadable] = facts.unreadable
        self.assertIn(host_tree.DISK, str(unreadable.functions))

    def test_missing_function(self) -> None:
        self.assertNotIn('0000:99:00.0', self.reader.facts().functions)
        reason = self.reader.reason_not_in_sysfs()
        self.assertTrue(reason.startswith(in_use.USE_UNKNOWN))
