# SPDX-License-Identifier: Apache-2.0
"""How values look in tables; machines (``-f json``) get them as they are."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cliff import columns
from osc_lib.cli import format_columns

from pci_passthrough.osc import match
from pci_passthrough.osc.v1 import base

#: For each column: the key of its value, and how the value looks.
Layout = Mapping[str, tuple[str, Callable[[Any], Any]]]


def table(layout: Layout, items: Iterable[Mapping[str, Any]]) -> base.Output:
    """Return columns and a row for each item."""
    return tuple(layout), [
        tuple(look(item.get(key)) for key, look in layout.values())
        for item in items
    ]


def one(
    looks: Mapping[str, Callable[[Any], Any]], item: Mapping[str, Any]
) -> base.Output:
    """Return fields and values of an item.

    :param looks: for each field how it looks, in order; fields that the item
        does not have are left out: not everybody is shown everything.
    """
    names = [name for name in looks if name in item]
    return names, [looks[name](item[name]) for name in names]


class OrDash(columns.FormattableColumn[Any]):
    """A value, or a dash for None."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '-' if self._value is None else str(self._value)


class Tags(format_columns.DictColumn):
    """Extra info."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return super().human_readable() or '-'


class Names(format_columns.ListColumn):
    """A list of words; nobody is told of who may not see it."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return super().human_readable() or '-'


class Match(columns.FormattableColumn[Sequence[Mapping[str, Any]]]):
    """A match expression as ``--match`` takes it, one term a line."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '\n'.join(match.typed(term) for term in self._value)


class Lines(columns.FormattableColumn[Sequence[Any]]):
    """A list of things, one a line; a dash for none.

    :param line: how one thing looks.
    """

    def __init__(
        self, value: Sequence[Any], line: Callable[[Any], str] = str
    ) -> None:
        super().__init__(value)
        self._line = line

    def human_readable(self) -> str:
        """Return text for a table."""
        return '\n'.join(self._line(item) for item in self._value) or '-'


def as_is(value: Any) -> Any:
    """Return a value that looks right already."""
    return value
