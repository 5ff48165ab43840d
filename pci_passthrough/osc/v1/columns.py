# SPDX-License-Identifier: Apache-2.0
"""Columns of lists and of ``show``.

The formatters are for tables. Other formats, such as ``-f json``, have the
plain values.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

from cliff import columns

from pci_passthrough.osc import match
from pci_passthrough.osc.v1 import base

_T = TypeVar('_T')

#: Title of each column of a list, with the function that gets the column's
#: value from an item of the service.
Columns = Mapping[str, Callable[[Mapping[str, Any]], Any]]

#: Field of an item, with the formatter of its value.
Formatters = Mapping[str, Callable[[Any], Any]]


def table(
    layout: Mapping[str, Callable[[_T], Any]], items: Iterable[_T]
) -> base.Output:
    """Return the titles of columns, and a row for each item.

    :param layout: title of each column, with the function that gets the
        column's value from an item.
    """
    return tuple(layout), [
        tuple(value_of(item) for value_of in layout.values()) for item in items
    ]


def show(formatters: Formatters, item: Mapping[str, Any]) -> base.Output:
    """Return the names and values of an item's fields.

    :param formatters: fields in the order in which they are shown. Fields
        that the item does not have are left out: not every user may see all
        of them.
    """
    names = [name for name in formatters if name in item]
    return names, [formatters[name](item[name]) for name in names]


def plain(value: Any) -> Any:
    """Return a value that needs no formatter."""
    return value


def field(
    key: str, formatter: Callable[[Any], Any] = plain
) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that gets a field of an item, formatted."""
    return lambda item: formatter(item.get(key))


def device_type(item: Mapping[str, Any]) -> Any:
    """Return what a device or a pool is.

    :returns: the type of a PCI function, else the resource type.
    """
    return item.get('dev_type') or item.get('resource_type')


class OrDash(columns.FormattableColumn[Any]):
    """A value; a dash means None."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '-' if self._value is None else str(self._value)


class Tags(columns.FormattableColumn[Mapping[str, str]]):
    """Extra info; a dash means that there is none."""

    def human_readable(self) -> str:
        """Return text for a table, in the form of osc-lib."""
        return (
            ', '.join(
                f"{key}='{value}'"
                for key, value in sorted(self._value.items())
            )
            or '-'
        )


class Names(columns.FormattableColumn[Sequence[str] | None]):
    """A list of names; a dash means None or an empty list."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return ', '.join(sorted(self._value or ())) or '-'


class Ordered(columns.FormattableColumn[Sequence[str] | None]):
    """A list of names in their order; a dash means None or no names."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return ', '.join(self._value or ()) or '-'


class Match(columns.FormattableColumn[Sequence[Mapping[str, Any]]]):
    """A match expression in the form of ``--match``, one term a line."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '\n'.join(match.format_term(term) for term in self._value)


class Term(columns.FormattableColumn[Mapping[str, Any]]):
    """Conditions in the form of one ``--match``."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return match.format_term(self._value)


class Lines(columns.FormattableColumn[Sequence[Any]]):
    """A list with one item a line; a dash means an empty list.

    :param line: returns the line of an item.
    """

    def __init__(
        self, value: Sequence[Any], line: Callable[[Any], str] = str
    ) -> None:
        super().__init__(value)
        self._line = line

    def human_readable(self) -> str:
        """Return text for a table."""
        return '\n'.join(self._line(item) for item in self._value) or '-'
