# SPDX-License-Identifier: Apache-2.0
"""Tests of the limits of reported facts."""

from typing import Any

import hypothesis
from hypothesis import strategies
import sqlalchemy as sa
import testtools

from pci_passthrough import objects
from pci_passthrough.objects import recordable
from pci_passthrough.store import models
from pci_passthrough.tests.unit.reporting import test_snapshot as snapshots

ADDRESS = '0000:01:00.0'

#: A text that one of the usual mistakes has made: too long, a control
#: character, a lone surrogate of a name that is not UTF-8.
MANGLED = strategies.sampled_from(
    ['x' * 5000, 'eth\0', 'a\nb', '\udcff', '\x1b[31m', '80:00:' * 10]
)
ODD_NUMBERS = strategies.sampled_from([-1, 2**31, 2**63, 10**30])


def device(**facts: Any) -> objects.PciDevice:
    return snapshots.device(ADDRESS, **facts)


class FitTestCase(testtools.TestCase):
    def test_facts_that_fit_stay(self) -> None:
        for name, value in snapshots.OTHER_FACTS.items():
            with self.subTest(name=name):
                fitting = recordable.fit(device().replace(**{name: value}))
                self.assertIsNone(fitting.obstacle)
                self.assertEqual({}, fitting.dropped)
                self.assertEqual(value, getattr(fitting.device, name))

    def test_ipoib_address_is_dropped(self) -> None:
        fitting = recordable.fit(device(mac_address=':'.join(['80'] * 20)))
        self.assertIsNone(fitting.obstacle)
        self.assertIsNone(fitting.device.mac_address)
        self.assertIn('up to 32 printable', fitting.dropped['mac_address'])

    def test_matched_facts_are_obstacles(self) -> None:
        for facts, name in (
            ({'driver': 'd' * 65}, 'its driver'),
            ({'driver': 'a\0'}, 'its driver'),
            ({'vgpu_type': '5' * 17}, 'its vgpu_type'),
            ({'numa_node': 2**40}, 'its numa_node'),
            ({'extra_info': {'a': 'b' * 300}}, 'extra_info'),
            ({'extra_info': {'a': '\udcff'}}, 'extra_info'),
        ):
            with self.subTest(facts=facts):
                obstacle = recordable.fit(device(**facts)).obstacle
                self.assertIn(name, obstacle or '')

    def test_texts_for_people_are_cut(self) -> None:
        fitting = recordable.fit(device(offered_by='x' * 5000, refusal='a\nb'))
        self.assertEqual({}, fitting.dropped)
        self.assertEqual(4096, len(fitting.device.offered_by or ''))
        self.assertEqual('a\N{REPLACEMENT CHARACTER}b', fitting.device.refusal)

    @hypothesis.given(
        strategies.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(recordable.LONGEST, MANGLED),
                **dict.fromkeys(
                    ('numa_node', 'iommu_group', 'link_speed', 'total_vfs'),
                    ODD_NUMBERS,
                ),
                'capabilities': strategies.lists(MANGLED, max_size=3),
            },
        )
    )
    def test_what_is_left_fits(self, facts: dict[str, Any]) -> None:
        fitting = recordable.fit(device(**facts))
        if fitting.obstacle is None:
            again = recordable.fit(fitting.device)
            self.assertEqual(fitting.device, again.device)
            self.assertEqual({}, again.dropped)
            self.assertIsNone(again.obstacle)

    def test_columns_are_as_long(self) -> None:
        columns = {
            column.name: column.type.length
            for table in (models.pool_keys, models.pci_devices)
            for column in table.c
            if isinstance(column.type, sa.String) and column.type.length
        }
        for name, longest in recordable.LONGEST.items():
            # The others are TEXT, which takes 65535 bytes on MariaDB.
            self.assertIn(columns.get(name), (longest, None), name)
        self.assertLess(4 * recordable.LONGEST['offered_by'], 65535)
