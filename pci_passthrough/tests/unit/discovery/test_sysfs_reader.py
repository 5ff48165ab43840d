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

    def test_missing_function(self) -> None:
        self.assertNotIn('0000:99:00.0', self.reader.facts().functions)
        reason = self.reader.reason_not_in_sysfs()
        self.assertTrue(reason.startswith(in_use.USE_UNKNOWN))
