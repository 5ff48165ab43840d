# SPDX-License-Identifier: Apache-2.0
"""Tests of the match keys."""

import testtools

from pci_passthrough.specs import match_key


class NearestTest(testtools.TestCase):
    def test_misspelled_keys(self) -> None:
        for word, key in (
            ('vendorid', 'vendor_id'),
            ('vendor', 'vendor_id'),
            ('Vendor-ID', 'vendor_id'),
            ('product', 'product_id'),
            ('device_id', 'product_id'),
            ('dev_name', 'devname'),
            ('pci_class', 'class'),
            ('adress', 'address'),
            ('current_vgpu_type', 'vgpu_type'),
        ):
            self.assertEqual(key, match_key.nearest(word), word)

    def test_tags_are_not_misspelled_keys(self) -> None:
        for word in (
            'physical_network',
            'trusted',
            'remote_managed',
            'managed',
            'live_migratable',
            'one_time_use',
            'resource_class',
            'traits',
            'group',
            'gpu_type',
            'vgpu',
            'san',
            'rack',
        ):
            self.assertIsNone(match_key.nearest(word), word)
