# SPDX-License-Identifier: Apache-2.0
"""How values look in tables (machines get them as they are), and in words."""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
from typing import Any
from typing import TypeVar
import uuid

from cliff import columns
from oslo_utils import uuidutils

from pci_passthrough.osc import match

_T = TypeVar('_T')


def table(
    values: Mapping[str, Callable[[_T], Any]], items: Iterable[_T]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the names of columns, and a row for each item.

    :param values: how to get a column's value from an item, by its name.
    """
    return tuple(values), [
        tuple(get(item) for get in values.values()) for item in items
    ]


class OrDash(columns.FormattableColumn[Any]):
    """A value, or a dash for None."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '-' if self._value is None else str(self._value)


class Time(OrDash):
    """A time in UTC, or a dash for None."""

    def __init__(self, value: datetime.datetime | None) -> None:
        super().__init__(value and value.strftime('%Y-%m-%dT%H:%M:%S'))


class Tags(columns.FormattableColumn[Mapping[str, str]]):
    """Extra info as ``key=value`` pairs, sorted; a dash for none."""

    def human_readable(self) -> str:
        """Return text for a table."""
        pairs = (
            f'{key}={value}' for key, value in sorted(self._value.items())
        )
        return ', '.join(pairs) or '-'


class Names(columns.FormattableColumn[Sequence[str]]):
    """A list of words; a dash for none."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return ', '.join(self._value) or '-'


class Match(columns.FormattableColumn[Sequence[Mapping[str, Any]]]):
    """A match expression as ``--match`` takes it, one term a line."""

    def human_readable(self) -> str:
        """Return text for a table."""
        return '\n'.join(match.format_term(term) for term in self._value)


def instance(text: str) -> str:
    """Return an instance's UUID in the form that Nova uses."""
    if not uuidutils.is_uuid_like(text):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not the UUID of an instance'
        )
    return str(uuid.UUID(text))
