# SPDX-License-Identifier: Apache-2.0
"""``--match``: parsing and formatting of terms."""

import argparse
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough.osc import match

RIGHT: list[tuple[str, dict[str, Any]]] = [
    ('vendor_id=8086', {'vendor_id': '8086'}),
    ('class=network,e.group=10g', {'class': 'network', 'e.group': '10g'}),
    ('class=network, e.group=10g', {'class': 'network', 'e.group': '10g'}),
    ('numa_node=>= 1', {'numa_node': '>= 1'}),
    ('e.note=a=b', {'e.note': 'a=b'}),
    ('driver=', {'driver': ''}),
    ('{"vendor_id": ["8086", "15b3"]}', {'vendor_id': ['8086', '15b3']}),
    (' {"e.note": "a,b"}', {'e.note': 'a,b'}),
]

WRONG = [
    '',
    ',',
    'vendor_id',
    '=8086',
    'vendor_id=1,',
    'vendor_id=1,vendor_id=2',
    '{',
    '{}}',
    '{"vendor_id": "1", "vendor_id": "2"}',
    '{"a":' * 100000,
]


class MatchTestCase(testtools.TestCase):
    def test_right(self) -> None:
        for text, wanted in RIGHT:
            self.assertEqual(wanted, match.parse(text), text)

    def test_wrong(self) -> None:
        for text in WRONG:
            error = self.assertRaises(
                argparse.ArgumentTypeError, match.parse, text
            )
            self.assertIn('right would be, for example', str(error))

    @hypothesis.given(strategies.text())
    def test_anything(self, text: str) -> None:
        try:
            match.parse(text)
        except argparse.ArgumentTypeError:
            pass

    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(['vendor_id', 'class', 'e.group']),
            strategies.text() | strategies.lists(strategies.text()),
            min_size=1,
        )
    )
    def test_what_is_shown_can_be_typed(self, term: dict[str, Any]) -> None:
        shown = match.format_term(term)
        self.assertEqual(term, match.parse(shown))
