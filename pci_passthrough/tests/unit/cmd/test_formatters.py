# SPDX-License-Identifier: Apache-2.0
"""Formatters of pci-passthrough-manage."""

import datetime

import testtools

from pci_passthrough.cmd.manage import formatters


class FormattersTestCase(testtools.TestCase):
    def test_time(self) -> None:
        time = formatters.Time(datetime.datetime(2026, 1, 2, 3, 4, 5, 6))
        self.assertEqual('2026-01-02T03:04:05Z', time.human_readable())
        self.assertEqual('2026-01-02T03:04:05Z', time.machine_readable())
        never = formatters.Time(None)
        self.assertEqual('-', never.human_readable())
        self.assertIsNone(never.machine_readable())

    def test_vendor_and_product(self) -> None:
        device = {'vendor_id': '8086', 'product_id': '1889', 'more': 1}
        self.assertEqual('8086:1889', formatters.vendor_and_product(device))
