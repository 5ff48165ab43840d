# SPDX-License-Identifier: Apache-2.0
"""Tests of normalizing names of resource classes and traits."""

import testtools

from pci_passthrough.nova_conf import placement_names


class PlacementNamesTestCase(testtools.TestCase):
    """Normalizes names as Nova does."""

    def test_resource_class(self) -> None:
        for name, expected in (
            ('VGPU', 'VGPU'),
            ('custom_x', 'CUSTOM_X'),
            ('a16-16a', 'CUSTOM_A16_16A'),
        ):
            self.assertEqual(expected, placement_names.resource_class(name))

    def test_traits(self) -> None:
        self.assertEqual(
            ['CUSTOM_BLUE', 'CUSTOM_HW_X_Y', 'HW_GPU_API_VULKAN'],
            placement_names.traits(
                'HW_GPU_API_VULKAN,blue,hw-x-y,CUSTOM_BLUE'
            ),
        )
        self.assertEqual([], placement_names.traits(''))

    def test_list_tag(self) -> None:
        tag = placement_names.list_tag(['A', 'B'])
        self.assertEqual('A,B', placement_names.from_list_tag(tag))
        for text in ('A', '[1]', "['a,b']", '[' * 300, "['']"):
            self.assertIsNone(placement_names.from_list_tag(text))
