# SPDX-License-Identifier: Apache-2.0
"""How values look in tables; machines get the values themselves."""

from collections.abc import Mapping
from collections.abc import Sequence
import json
from typing import Any

from cliff import columns


class OrDash(columns.FormattableColumn[Any]):
    """A value, or a dash for None."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '-' if self._value is None else str(self._value)


class Tags(columns.FormattableColumn[Mapping[str, str]]):
    """Extra info as ``key=value`` pairs, sorted."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return ', '.join(f'{k}={v}' for k, v in sorted(self._value.items()))


class Names(columns.FormattableColumn[Sequence[str]]):
    """A list of words."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return ', '.join(self._value)


class Match(columns.FormattableColumn[Sequence[Mapping[str, Any]]]):
    """A match expression as ``--match`` takes it, one term a line."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '\n'.join(_term(term) for term in self._value)


def _term(term: Mapping[str, Any]) -> str:
    if all(
        isinstance(value, str) and not set(value) & set(',{')
        for value in term.values()
    ):
        return ','.join(f'{key}={value}' for key, value in term.items())
    return json.dumps(term)
