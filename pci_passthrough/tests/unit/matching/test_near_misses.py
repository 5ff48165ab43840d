# SPDX-License-Identifier: Apache-2.0
"""Tests of near misses."""

import hypothesis
import testtools

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import pci_flavor
from pci_passthrough.tests.unit.matching import test_pool_index

_KEY = objects.PoolKey(
    vendor_id='10de',
    product_id='2330',
    subsystem_vendor_id=None,
    subsystem_id=None,
    pci_class='030200',
    dev_type='type-PCI',
    driver=None,
    numa_node=0,
    extra_info=(('group', 'small'),),
)


_Term = dict[str, str | list[str]]


def misses(match: fields.Match) -> list[tuple[str, str, str | None, int]]:
    """Return (key, wanted, actual, fulfilled) of a GPU's near misses."""
    expression = pci_flavor.MatchExpression.parse(match)
    return [
        (miss.key, miss.wanted, miss.actual, miss.fulfilled)
        for miss in matching.near_misses(expression, _KEY)
    ]


class NearMissesTest(testtools.TestCase):
    def test_one_condition_fails(self) -> None:
        gpu: _Term = {'vendor_id': '10de'}
        conditions: list[tuple[_Term, tuple[str, str, str | None, int]]] = [
            ({'e.group': 'big'}, ('e.group', '"big"', 'small', 1)),
            ({'e.san': ['a', 'b']}, ('e.san', '["a", "b"]', None, 1)),
            ({'numa_node': '>= 1'}, ('numa_node', '">= 1"', '0', 1)),
            ({'class': 'network'}, ('class', '"network"', '030200', 1)),
        ]
        for condition, expected in conditions:
            self.assertEqual([expected], misses([gpu | condition]))

    def test_no_near_misses(self) -> None:
        nic: _Term = {'vendor_id': '8086', 'e.group': '10g'}
        self.assertEqual([], misses([nic]))
        self.assertEqual([], misses([{'vendor_id': '10de'}]))
        self.assertEqual(
            [], misses([{'vendor_id': '10de'}, {'e.group': 'big'}])
        )

    def test_nearest_first(self) -> None:
        self.assertEqual(
            [
                ('e.group', '"big"', 'small', 2),
                ('e.group', '"big"', 'small', 1),
                ('e.san', '"a"', None, 1),
                ('vendor_id', '"8086"', '10de', 0),
            ],
            misses(
                [
                    {'vendor_id': '8086'},
                    {'vendor_id': '10de', 'e.san': 'a'},
                    {'vendor_id': '10de', 'e.group': 'big'},
                    {
                        'vendor_id': '10de',
                        'product_id': '2330',
                        'e.group': 'big',
                    },
                ]
            ),
        )

    @hypothesis.given(test_pool_index.KEYS, test_pool_index.EXPRESSIONS)
    def test_matches_without_the_condition(
        self, key: objects.PoolKey, match: fields.Match
    ) -> None:
        expression = pci_flavor.MatchExpression.parse(match)
        index = matching.PoolIndex()
        index.add({1: key})
        near_misses = matching.near_misses(expression, key)
        if index.matching(expression):
            self.assertEqual((), near_misses)
        for miss in near_misses:
            own: _Term = {'resource_type': key.resource_type}
            without = [
                {k: v for k, v in term.items() if k != miss.key}
                | (own if miss.key in own else _Term())
                for term in match
                if miss.key in term or miss.key in own
            ]
            self.assertTrue(
                {} in without
                or index.matching(pci_flavor.MatchExpression.parse(without))
            )
