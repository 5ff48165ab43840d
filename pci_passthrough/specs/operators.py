# SPDX-License-Identifier: Apache-2.0
"""Operator expressions of ``oslo_utils.specs_matcher``, checked once.

The library parses an expression again for each comparison, ignores text
after a complete expression, treats a malformed expression as a plain string,
and raises on values that are not numbers. Here an expression is parsed once
and completely, and a value of the wrong type does not match.
"""

import dataclasses
import functools
import math
import re
from typing import Self

from oslo_utils import specs_matcher
import pyparsing

#: Operators that compare numbers. ``=`` means ``>=``, as in the library.
NUMERIC = frozenset({'=', '==', '!=', '<', '<=', '>', '>=', '<range-in>'})
#: Operators that compare strings.
TEXTUAL = frozenset({'s==', 's!=', 's<', 's<=', 's>', 's>=', '<in>', '<or>'})
#: Operators on values that are a list in Python's syntax: ``['a', 'b']``.
LISTS = frozenset({'<all-in>'})

_START = re.compile(r'=|!=|<|>|s==|s!=|s<|s>')


@dataclasses.dataclass(frozen=True, slots=True)
class OperatorExpression:
    """An operator and its operands; matches values like a pattern."""

    operator: str
    operands: tuple[str, ...]

    @staticmethod
    def starts_with_operator(text: str) -> bool:
        """Return whether a text starts like an operator expression."""
        return _START.match(text) is not None

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def parse(cls, text: str) -> Self:
        """Parse an operator expression.

        :raises ValueError: the text does not completely match the library's
            grammar, or the operands have the wrong type.
        """
        grammar = specs_matcher.make_grammar()
        try:
            operator, *operands = grammar.parse_string(text, parse_all=True)
        except pyparsing.ParseException as error:
            raise ValueError(
                f'{text!r} is no operator expression: syntax error at '
                f'character {error.loc + 1}'
            ) from error
        if not operands:
            raise ValueError(f'{text!r} is no operator expression')
        if operator == '<range-in>':
            _check_range(*operands)
        elif operator in NUMERIC and not _is_number(operands[0]):
            raise ValueError(f'{operator} needs a number, not {operands[0]!r}')
        return cls(operator, tuple(operands))

    def __call__(self, value: str) -> bool:
        if self.operator in NUMERIC and not _is_number(value):
            return False
        compare = specs_matcher.op_methods[self.operator]
        try:
            return bool(compare(value, *self.operands))
        except (
            ValueError,
            SyntaxError,
            TypeError,
            ArithmeticError,
            MemoryError,
            RecursionError,
        ):
            # ``<all-in>`` and ``<range-in>`` parse the value with
            # ast.literal_eval, which may raise all of these.
            return False


def _check_range(opening: str, low: str, high: str, closing: str) -> None:
    if opening not in ('[', '(') or closing not in (']', ')'):
        raise ValueError('<range-in> needs brackets: [ 1 5 ], ( 1 5 ]')
    if not (_is_number(low) and _is_number(high)):
        raise ValueError(f'<range-in> needs numbers, not {low!r} {high!r}')
    if float(low) > float(high):
        raise ValueError(f'the range {low} to {high} is empty')


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
