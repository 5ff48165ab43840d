# SPDX-License-Identifier: Apache-2.0
"""Finding groups in the tags of pool keys."""

import testtools

from pci_passthrough import objects
from pci_passthrough.matching import groups


def _key(**tags: str) -> objects.PoolKey:
    return objects.PoolKey(
        *(None,) * 8, extra_info=tuple(sorted(tags.items()))
    )


class GroupsTest(testtools.TestCase):
    def test_values_of_tags(self) -> None:
        found = groups.find(
            {
                1: _key(group='10g', rack='7'),
                2: _key(group='10g', name='fast'),
                3: _key(name='10g'),
                4: _key(group='gpu', name='gpu'),
                5: _key(),
            }
        )
        self.assertEqual(
            {
                '10g': [('group', {1, 2}), ('name', {3})],
                'fast': [('name', {2})],
                # Both tags mean the same.
                'gpu': [('group', {4})],
            },
            {
                name: [(group.tag, group.key_ids) for group in same_name]
                for name, same_name in found.items()
            },
        )
        self.assertEqual([{'e.name': 'fast'}], found['fast'][0].match)
