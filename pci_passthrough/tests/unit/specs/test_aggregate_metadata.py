# SPDX-License-Identifier: Apache-2.0
"""Conditions on the metadata of host aggregates."""

from typing import Any

import testtools

from pci_passthrough import exception
from pci_passthrough.specs import aggregate_metadata


class AggregateMetadataTest(testtools.TestCase):
    def failing(
        self, conditions: dict[str, Any] | None, *aggregates: dict[str, str]
    ) -> str | None:
        return aggregate_metadata.failing(
            aggregate_metadata.parse(conditions),
            aggregate_metadata.values_of(aggregates),
        )

    def test_fitting(self) -> None:
        blue = {'customer': 'blue, green', 'rack': '7'}
        for conditions in (
            None,
            {'customer': 'blue'},
            {'customer': ['red', 'green']},
            {'customer': '<or> red <or> blue', 'rack': '>= 7'},
            # Each key may be of another aggregate.
            {'customer': 'blue', 'ssd': 'true'},
        ):
            self.assertIsNone(self.failing(conditions, blue, {'ssd': 'true'}))

    def test_failing(self) -> None:
        self.assertEqual(
            'customer: wanted "blue", found green, red',
            self.failing(
                {'customer': 'blue'},
                {'customer': 'red'},
                {'customer': 'green'},
            ),
        )
        for conditions in ({'customer': 'blue'}, {'customer': 's!= blue'}):
            self.assertIn('found none', self.failing(conditions) or '')

    def test_malformed(self) -> None:
        wrong: list[Any] = [
            {},
            [],
            {'': 'x'},
            {' a': 'x'},
            {'a': ''},
            {'a': []},
            {'a': 1},
            {'a': {}},
            {'a': '>= many'},
            {f'k{number}': 'x' for number in range(33)},
        ]
        for conditions in wrong:
            error = self.assertRaises(
                exception.InvalidPciFlavor,
                aggregate_metadata.parse,
                conditions,
            )
            self.assertEqual('aggregate_metadata', error.key)
