# SPDX-License-Identifier: Apache-2.0
"""A PCI flavor's conditions on the metadata of Nova's host aggregates.

The meaning is that of Nova's AggregateInstanceExtraSpecsFilter: for each key,
some aggregate of the host has a value that fits.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Set
import json

from pci_passthrough import exception
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import pci_flavor

#: Most keys.
MAX_KEYS = 32

#: Longest key, as in Nova.
MAX_KEY_LENGTH = 255

#: The field of a PCI flavor.
FIELD = 'aggregate_metadata'

_EXAMPLE = '{"customer": "blue"}'

#: All conditions must be fulfilled. None at all means any host.
Conditions = tuple[condition_spec.Condition, ...]

#: The values that the aggregates of a host have, by key.
Values = Mapping[str, Set[str]]


def parse(conditions: Mapping[str, str | list[str]] | None) -> Conditions:
    """Parse a PCI flavor's ``aggregate_metadata``.

    :param conditions: a value has the same form as that of a tag in a match:
        a string, a list of alternatives or an operator expression.
    :raises exception.InvalidPciFlavor: they are malformed.
    """
    if conditions is None:
        return ()
    if not isinstance(conditions, dict) or not conditions:
        raise _invalid('must be an object with a key; null means any host')
    if len(conditions) > MAX_KEYS:
        raise _invalid(f'more than {MAX_KEYS} keys')
    return tuple(_parse(key, conditions[key]) for key in sorted(conditions))


def values_of(aggregates: Iterable[Mapping[str, str]]) -> Values:
    """Return the values of some aggregates' metadata.

    As in Nova, a comma separates several values of one key.
    """
    values: dict[str, set[str]] = {}
    for metadata in aggregates:
        for key, text in metadata.items():
            values.setdefault(key, set()).update(
                value.strip() for value in text.split(',')
            )
    return values


def failing(conditions: Conditions, values: Values) -> str | None:
    """Return the first condition that values do not fulfil, for people.

    :returns: None if they fulfil all.
    """
    for condition in conditions:
        actual = values.get(condition.key, frozenset())
        if not condition.accepted(actual):
            found = ', '.join(sorted(actual)) or 'none'
            return f'{condition.key}: wanted {condition.text}, found {found}'
    return None


def _parse(key: str, value: object) -> condition_spec.Condition:
    try:
        _check_key(key)
        patterns = pci_flavor.parse_value(f'{extra_info.PREFIX}{key}', value)
    except ValueError as error:
        raise _invalid(f'{key[:40]!r}: {error}') from error
    return condition_spec.Condition(key, patterns, json.dumps(value))


def _check_key(key: str) -> None:
    if (
        not 1 <= len(key) <= MAX_KEY_LENGTH
        or not key.isprintable()
        or key != key.strip()
    ):
        raise ValueError(
            f'a key has 1 to {MAX_KEY_LENGTH} printable characters without '
            'blanks at its ends'
        )


def _invalid(reason: str) -> exception.InvalidPciFlavor:
    return exception.InvalidPciFlavor(FIELD, reason, _EXAMPLE)
