# SPDX-License-Identifier: Apache-2.0
"""Tests of operator expressions: same results as the library, no surprises."""

import hypothesis
from hypothesis import strategies
from oslo_utils import specs_matcher
import testtools

from pci_passthrough.specs import operators

NUMBERS = strategies.integers(-30, 30).map(str)
WORDS = strategies.text('abs', min_size=1, max_size=3)
EXPRESSIONS = strategies.one_of(
    strategies.builds(
        '{} {}'.format,
        strategies.sampled_from(
            sorted(operators.NUMERIC.difference(['<range-in>']))
        ),
        NUMBERS,
    ),
    strategies.builds(
        '{} {}'.format,
        strategies.sampled_from(sorted(operators.TEXTUAL)),
        WORDS,
    ),
    strategies.builds('<or> {} <or> {}'.format, WORDS, WORDS),
    strategies.builds('<all-in> {} {}'.format, WORDS, WORDS),
    strategies.tuples(NUMBERS, NUMBERS).map(
        lambda ends: '<range-in> [ {} {} )'.format(*sorted(ends, key=float))
    ),
)
VALUES = NUMBERS | WORDS | strategies.lists(WORDS).map(str)


class OperatorExpressionTest(testtools.TestCase):
    def test_every_operator_of_the_library_is_known(self) -> None:
        self.assertEqual(
            set(specs_matcher.op_methods),
            operators.NUMERIC | operators.TEXTUAL | operators.LISTS,
        )

    def test_plain_text(self) -> None:
        self.assertFalse(
            operators.OperatorExpression.starts_with_operator('san')
        )
        self.assertRaises(
            ValueError, operators.OperatorExpression.parse, 'san'
        )

    def test_value_that_is_no_number_does_not_match(self) -> None:
        self.assertRaises(ValueError, specs_matcher.match, 'fast', '>= 1')
        self.assertFalse(operators.OperatorExpression.parse('>= 1')('fast'))

    def test_text_after_the_expression_is_refused(self) -> None:
        self.assertTrue(specs_matcher.match('1', '>= 1 2'))
        self.assertRaises(
            ValueError, operators.OperatorExpression.parse, '>= 1 2'
        )

    @hypothesis.given(EXPRESSIONS, VALUES)
    def test_same_result_as_the_library(self, text: str, value: str) -> None:
        try:
            wanted = specs_matcher.match(value, text)
        except (ValueError, TypeError, SyntaxError):
            wanted = False
        self.assertTrue(
            operators.OperatorExpression.starts_with_operator(text)
        )
        self.assertEqual(
            wanted, operators.OperatorExpression.parse(text)(value)
        )
