# SPDX-License-Identifier: Apache-2.0
"""The map of hosts and PCI flavors."""

import testtools

from pci_passthrough_dashboard.content.admin.pci_pools import heat_map

_HOSTS = [f'host-{number:03}' for number in range(120)]
_ONE_EACH = dict.fromkeys(_HOSTS, heat_map.Count(1, 2, held=1))


class HeatMapTest(testtools.TestCase):
    def test_few_hosts_are_single_rows(self) -> None:
        rows = heat_map.rows(_HOSTS[:50], [_ONE_EACH, {}])
        self.assertEqual(50, len(rows))
        self.assertFalse(any(row.is_group for row in rows))
        self.assertEqual(
            (heat_map.Count(1, 2, held=1), heat_map.NOTHING), rows[1].cells
        )
        self.assertEqual(
            [False, True], [cell.is_empty for cell in rows[1].cells]
        )

    def test_many_hosts_are_groups(self) -> None:
        refusing = {'host-100': heat_map.Count(0, 0, refused=7)}
        rows = heat_map.rows(_HOSTS, [_ONE_EACH, refusing])
        self.assertEqual(
            [
                ('host-000', 'host-049', 50),
                ('host-050', 'host-099', 50),
                ('host-100', 'host-119', 20),
            ],
            [(row.first, row.last, row.hosts) for row in rows],
        )
        self.assertEqual(
            [(50, 100, 50), (50, 100, 50), (20, 40, 20)],
            [row.cells[0][:3] for row in rows],
        )
        self.assertEqual([0, 0, 7], [row.cells[1].refused for row in rows])
        self.assertFalse(rows[2].cells[1].is_empty)

    def test_zoom(self) -> None:
        rows = heat_map.rows(_HOSTS, [_ONE_EACH], 'host-100')
        self.assertEqual(_HOSTS[100:], [row.first for row in rows])

    def test_no_host(self) -> None:
        self.assertEqual([], heat_map.rows([], [{}]))

    def test_shades(self) -> None:
        counts = [(0, 0), (0, 9), (1, 9), (5, 9), (8, 9), (9, 9)]
        self.assertEqual(
            ['absent', '0', '1', '3', '4', '4'],
            [heat_map.Count(*count).shade for count in counts],
        )
