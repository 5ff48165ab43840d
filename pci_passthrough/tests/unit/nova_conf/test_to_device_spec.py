# SPDX-License-Identifier: Apache-2.0
"""Tests of translating pci_information to device_spec."""

import json
from typing import Any

import testtools

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import to_device_spec
from pci_passthrough.specs import lint

_VENDOR = {'vendor_id': '8086'}

#: an entry of pci_information, the values of device_spec that it becomes
EXPORTED: list[tuple[Any, list[Any]]] = [
    ({'match': {'address': '*'}}, [{}]),
    ({'match': {'vendor_id': '????'}}, [{}]),
    ([_VENDOR, {'e.group': '10g'}], [{**_VENDOR, 'group': '10g'}]),
    (
        {'match': {'vendor_id': ['8086', '15b3']}},
        [{'vendor_id': '15b3'}, _VENDOR],
    ),
    ({'match': {'vendor_id': '808[67]'}}, [_VENDOR, {'vendor_id': '8087'}]),
    ({'match': {'address': '65:0.*'}}, [{'address': '*:65:00.*'}]),
    (
        {'match': {'address': ['0x0:65:0.0', '0000:66:00.[!1-3]']}},
        [
            {'address': '0000:65:00.0'},
            {
                'address': {
                    'domain': '0000$',
                    'bus': '66$',
                    'slot': '00$',
                    'function': '[^1-3]$',
                }
            },
        ],
    ),
    ({'match': {'address': '6?:*.*'}}, [{'address': {'bus': '6.$'}}]),
    (
        {
            'match': {
                'address': {'bus': '0A', 'slot': '[A-F].', 'function': '[2-7]'}
            }
        },
        [
            {
                'address': {
                    'bus': '0a$',
                    'slot': '(?i)[A-F].',
                    'function': '[2-7]',
                }
            }
        ],
    ),
    (
        {'match': {'devname': ['eth1', 'eth0']}},
        [{'devname': 'eth0'}, {'devname': 'eth1'}],
    ),
    ({'match': _VENDOR, 'allow_in_use': True}, [_VENDOR]),
    ({'match': _VENDOR, 'confirm_new': True}, [_VENDOR]),
    (
        {'match': _VENDOR, 'extra_info': {'traits': "['A', 'B']"}},
        [{**_VENDOR, 'traits': 'A,B'}],
    ),
]

#: an entry of pci_information, the key and a part of the finding, whether
#: anything is left
NOT_EXPORTED: list[tuple[dict[str, Any], str | None, str, bool]] = [
    ({'match': {'class': 'network'}}, 'class', 'no such condition', False),
    ({'match': {**_VENDOR, 'driver': 'ice'}}, 'driver', 'no such', False),
    ({'match': {'product_id': '1*'}}, 'product_id', '4096 ids', False),
    ({'match': {'product_id': {'regex': 'x'}}}, 'product_id', 'no id', False),
    ({'match': {'devname': 'eth*'}}, 'devname', 'exact values', False),
    ({'match': {'address': {'regex': '.*'}}}, 'address', 'each part', False),
    ({'match': {'address': '10000:01:00.0'}}, 'address', 'ffff', False),
    (
        {'match': {'vendor_id': '808[0-9]', 'product_id': '000[0-9]'}},
        None,
        'more than 64',
        False,
    ),
    (
        {'match': _VENDOR, 'exclude': True},
        'exclude',
        'excluding entries',
        False,
    ),
    (
        {'match': _VENDOR, 'extra_info': {'count': '5'}},
        'count',
        'another meaning',
        True,
    ),
    (
        {'match': _VENDOR, 'extra_info': {'managed': 'perhaps'}},
        'managed',
        'another meaning',
        True,
    ),
    (
        {'match': _VENDOR, 'extra_info': {'traits': 'a'}},
        'traits',
        'another meaning',
        True,
    ),
]


def _translate(
    *documents: Any,
) -> tuple[list[to_device_spec.Line], list[lint.Finding]]:
    return to_device_spec.translate(
        [
            nova_conf.OptionValue(
                '/agent.conf', '[agent] pci_information', json.dumps(document)
            )
            for document in documents
        ]
    )


class ToDeviceSpecTestCase(testtools.TestCase):
    """Translates pci_information to device_spec."""

    def test_entries(self) -> None:
        for entry, expected in EXPORTED:
            lines, findings = _translate(entry)
            self.assertEqual([], findings)
            self.assertEqual(
                expected, [json.loads(line.text) for line in lines]
            )
            self.assertEqual({None}, {line.held_back for line in lines})

    def test_no_equivalent(self) -> None:
        for entry, key, problem, is_left in NOT_EXPORTED:
            lines, (finding,) = _translate(entry)
            self.assertEqual((key, is_left), (finding.key, bool(lines)))
            self.assertIn(problem, finding.problem)

    def test_entries_after_an_excluding_entry_are_held_back(self) -> None:
        lines, findings = _translate(
            {'match': {'vendor_id': '10de'}},
            {'match': {'vendor_id': '8086'}, 'exclude': True},
            {'match': {'vendor_id': '15b3'}},
            {'match': {'address': '*'}},
            {'match': {'vendor_id': '8086', 'product_id': '0001'}},
        )
        self.assertEqual(
            [False, False, True, True],
            [line.held_back is not None for line in lines],
        )
        self.assertEqual(3, len(findings))

    def test_wrong_entry(self) -> None:
        error = self.assertRaises(
            exception.InvalidConfiguration, _translate, {'match': {}}
        )
        self.assertIn('/agent.conf: pci_information', str(error))
