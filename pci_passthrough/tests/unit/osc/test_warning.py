# SPDX-License-Identifier: Apache-2.0
"""Warnings in the headers of Nova's responses."""

import requests.structures
import testtools

from pci_passthrough.osc import warning


class TextsTestCase(testtools.TestCase):
    def test_texts(self) -> None:
        for header, found in {
            '299 pci-passthrough "a, b"': ['a, b'],
            '299 pci-passthrough "a", 299 pci-passthrough "b"': ['a', 'b'],
            '299 pci-passthrough "a" "Mon, 01 Jan 2026 00:00:00 GMT"': ['a'],
            r'299 pci-passthrough "a \"b\" \\ c"': [r'a "b" \ c'],
            '199 proxy "x", 299 - "y"': [],
            '299 pci-passthrough': [],
            '': [],
        }.items():
            headers = requests.structures.CaseInsensitiveDict(warning=header)
            self.assertEqual(found, warning.texts(headers))
        self.assertEqual([], warning.texts({}))
