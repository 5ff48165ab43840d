# SPDX-License-Identifier: Apache-2.0
"""Tests of finding entries that apply to no device."""

import json
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import objects
from pci_passthrough.discovery import idle_entries
from pci_passthrough.discovery import scan
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.unit.discovery import test_scan


def device(address: str, **changes: Any) -> objects.PciDevice:
    values = {'devname': None, 'numa_node': None, **changes}
    return test_scan.device(address, **values)


_HOST = (
    device('0000:01:00.0', dev_type='type-PF', devname='ens1'),
    device('0000:01:01.0', dev_type='type-VF', parent_addr='0000:01:00.0'),
    device('0000:02:00.0', pci_class='010802', vendor_id='144d', driver=None),
    device('0000:03:00.0', pci_class='040300', vendor_id='10de'),
    device('0000:04:00.0', pci_class='0b4000', product_id='4940'),
)

#: match of the only entry, the reason why it applies to no device
REASONS: list[tuple[dict[str, Any], str]] = [
    (
        {'class': 'coprocessor'},
        'nearest is 0000:04:00.0, with class 0b4000 instead of "coprocessor" '
        '(base class 40, not 0b40, which lspci calls Co-processor)',
    ),
    (
        {'class': ['encryption', '0c03']},
        'nearest is 0000:03:00.0, with class 040300 instead of '
        '["encryption", "0c03"] (base class 10)',
    ),
    (
        {'vendor_id': '8086', 'product_id': '4941'},
        'nearest is 0000:04:00.0, with product_id 4940 instead of "4941"',
    ),
    (
        {'address': '0000:04:00.1'},
        'nearest is 0000:04:00.0, with address 0000:04:00.0 instead of '
        '"0000:04:00.1"',
    ),
    (
        {'devname': 'ens2'},
        'nearest is 0000:01:00.0, with devname ens1 instead of "ens2"',
    ),
    (
        {'vendor_id': '144d', 'driver': 'nvme'},
        'nearest is 0000:02:00.0, with no driver instead of "nvme"',
    ),
    (
        {'vendor_id': '10df', 'class': '0403', 'driver': 'vfio-pci'},
        'nearest is 0000:03:00.0, with driver ice instead of "vfio-pci", '
        'vendor_id 10de instead of "10df"',
    ),
    ({'numa_node': 1}, 'nearest is 0000:01:00.0, with no numa_node instead'),
    (
        {'address': {'bus': '09', 'function': '[0-3]'}},
        'nearest is 0000:01:00.0, with address 0000:01:00.0 instead of {"bus"',
    ),
]


def information(*matches: dict[str, Any]) -> pci_information.PciInformation:
    return pci_information.PciInformation.parse(
        [json.dumps({'match': match}) for match in matches]
    )


class IdleEntriesTestCase(testtools.TestCase):
    """Says why an entry applies to no device."""

    def test_nearest_miss(self) -> None:
        for match, reason in REASONS:
            (idle,) = idle_entries.find(_HOST, information(match))
            self.assertIn(reason, idle.reason)
            text = json.dumps({'match': match})
            self.assertTrue(
                str(idle).startswith('entry 0 applies to no device: ')
            )
            self.assertTrue(str(idle).endswith(f': {text}'))

    def test_earlier_entries_come_first(self) -> None:
        (idle,) = idle_entries.find(
            _HOST,
            information(
                {'class': '02', 'dev_type': 'type-VF'},
                {'class': 'network'},
                {'class': '0200'},
            ),
        )
        self.assertEqual(2, idle.entry.index)
        self.assertEqual(
            'its devices (2) are matched first by entry 0 or 1', idle.reason
        )

    def test_the_name_of_a_physical_function_counts(self) -> None:
        match = {'devname': 'ens1', 'dev_type': 'type-VF'}
        self.assertEqual((), idle_entries.find(_HOST, information(match)))

    def test_host_without_devices(self) -> None:
        (idle,) = idle_entries.find((), information({'class': 'display'}))
        self.assertEqual('the host has no PCI devices', idle.reason)

    def test_news(self) -> None:
        """An entry is news once, and again for another reason."""
        entries = information({'product_id': '4941'}, {'class': 'display'})
        first = idle_entries.find(_HOST, entries)
        self.assertEqual(list(first), idle_entries.news((), first))
        again = idle_entries.find(_HOST, entries)
        self.assertEqual([], idle_entries.news(first, again))
        changed = idle_entries.find(_HOST[:-1], entries)
        self.assertEqual([changed[0]], idle_entries.news(first, changed))
        self.assertEqual([], idle_entries.news(first, first[:1]))
        self.assertEqual([first[1]], idle_entries.news(first[:1], first))

    @hypothesis.given(
        strategies.lists(
            strategies.fixed_dictionaries(
                {},
                optional={
                    'class': strategies.sampled_from(
                        ['network', '04', '0b40']
                    ),
                    'vendor_id': strategies.sampled_from(['8086', '10de']),
                    'devname': strategies.sampled_from(['ens1', 'ens2']),
                    'dev_type': strategies.sampled_from(['type-VF']),
                },
            ).filter(bool),
            min_size=1,
            max_size=4,
        )
    )
    def test_exactly_the_entries_without_a_device(
        self, matches: list[dict[str, Any]]
    ) -> None:
        entries = information(*matches)
        result = scan.classify(_HOST, None, {}, entries)
        decided = {item.entry.index for item in result.offered}
        decided |= {item.entry.index for item in result.refused}
        idle = {item.entry.index for item in result.find_idle()}
        self.assertEqual(set(range(len(matches))) - decided, idle)
