# SPDX-License-Identifier: Apache-2.0
"""Formatters of pci-passthrough-manage."""

import testtools

from pci_passthrough.cmd.manage import formatters


class FormattersTestCase(testtools.TestCase):
    def test_vendor_and_product(self) -> None:
        device = {'vendor_id': '8086', 'product_id': '1889', 'more': 1}
        self.assertEqual('8086:1889', formatters.vendor_and_product(device))
