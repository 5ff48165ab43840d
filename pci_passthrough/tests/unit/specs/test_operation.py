# SPDX-License-Identifier: Apache-2.0
"""Tests of operators: the same answers as the library, without its traps."""

import hypothesis
from hypothesis import strategies
from oslo_utils import specs_matcher
import testtools

from pci_passthrough.specs import operation

NUMBERS = strategies.integers(-30, 30).map(str)
WORDS = strategies.text('abs', min_size=1, max_size=3)
EXPRESSIONS = strategies.one_of(
    strategies.builds(
        '{} {}'.format,
        strategies.sampled_from(
            sorted(operation.NUMERIC.difference(['<range-in>']))
        ),
        NUMBERS,
    ),
    strategies.builds(
        '{} {}'.format,
        strategies.sampled_from(sorted(operation.TEXTUAL)),
        WORDS,
    ),
    strategies.builds('<or> {} <or> {}'.format, WORDS, WORDS),
    strategies.builds('<all-in> {} {}'.format, WORDS, WORDS),
    strategies.tuples(NUMBERS, NUMBERS).map(
        lambda ends: '<range-in> [ {} {} )'.format(*sorted(ends, key=float))
    ),
)
VALUES = NUMBERS | WORDS | strategies.lists(WORDS).map(str)


class OperationTest(testtools.TestCase):
    def test_every_operator_of_the_library_is_known(self) -> None:
        self.assertEqual(
            set(specs_matcher.op_methods),
            operation.NUMERIC | operation.TEXTUAL | operation.LISTS,
        )

    def test_plain_text_is_no_operation(self) -> None:
        self.assertFalse(operation.Operation.is_meant('san'))
        self.assertRaises(ValueError, operation.Operation.parse, 'san')

    def test_what_the_library_raises_on_does_not_match(self) -> None:
        self.assertRaises(ValueError, specs_matcher.match, 'fast', '>= 1')
        self.assertFalse(operation.Operation.parse('>= 1')('fast'))

    def test_what_the_library_passes_over_is_refused(self) -> None:
        self.assertTrue(specs_matcher.match('1', '>= 1 2'))
        self.assertRaises(ValueError, operation.Operation.parse, '>= 1 2')

    @hypothesis.given(EXPRESSIONS, VALUES)
    def test_same_answer_as_the_library(self, text: str, value: str) -> None:
        try:
            wanted = specs_matcher.match(value, text)
        except (ValueError, TypeError, SyntaxError):
            wanted = False
        self.assertTrue(operation.Operation.is_meant(text))
        self.assertEqual(wanted, operation.Operation.parse(text)(value))
