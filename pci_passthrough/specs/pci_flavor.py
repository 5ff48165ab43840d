# SPDX-License-Identifier: Apache-2.0
"""A PCI flavor's name, and its match expression."""

from collections.abc import Iterable
import dataclasses
import json
from typing import Self

from oslo_utils import strutils
from oslo_utils import uuidutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import condition
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import operation
from pci_passthrough.specs import pattern

#: Longest name: that of names in Nova's and Neutron's APIs.
MAX_NAME_LENGTH = 255

#: Most alternatives (OR) of a match expression.
MAX_TERMS = 64

#: The match keys of device properties: what pools are told apart by.
KEYS = tuple(
    key
    for key in condition.KEYS
    if condition.FIELDS.get(key, key) in objects.POOL_FIELDS
)

_EXAMPLE = '[{"vendor_id": "8086", "e.group": "10g"}]'

# Separators of requests, and of paths: the API finds a PCI flavor by name.
_RESERVED = ',|:/'

# Identifiers are texts of a fixed form, for which there are globs.
_OPERATORS = {
    'numa_node': operation.NUMERIC,
    'driver': operation.TEXTUAL,
}
_TAG_OPERATORS = operation.NUMERIC | operation.TEXTUAL | operation.LISTS


@dataclasses.dataclass(frozen=True, slots=True)
class MatchExpression:
    """What the pools of a PCI flavor have in common.

    Immutable and hashable; the order within a term does not count.
    """

    #: alternatives (OR) of conditions which all must hold (AND)
    terms: tuple[tuple[condition.Condition, ...], ...]

    @classmethod
    def parse(cls, match: list[dict[str, str | list[str]]]) -> Self:
        """Read a PCI flavor's ``match``.

        :param match: list (OR) of objects (AND) of key to value. Keys are
            ``KEYS`` and ``e.<extra info key>``; a value is a string, a list
            of which one has to fit, or an operator expression of
            ``oslo_utils.specs_matcher``. Ids and classes may be globs.
        :raises exception.InvalidPciFlavor: with the key at fault.
        """
        if not isinstance(match, list) or not all(
            isinstance(term, dict) for term in match
        ):
            raise _invalid('match', 'has to be a list of objects')
        if not match:
            raise _invalid('match', 'an empty list matches no device')
        if len(match) > MAX_TERMS:
            raise _invalid('match', f'more than {MAX_TERMS} alternatives')
        if not all(match):
            raise _invalid('match', 'an empty object matches every device')
        return cls(tuple(_parse_term(term) for term in match))

    @property
    def live_migratable(self) -> bool:
        """Whether all that it matches can move with a running guest.

        The tag is that of Nova's ``[pci] device_spec`` and its values are
        those which Nova takes for true. A term with several values could
        match a device that cannot move.
        """
        return all(
            any(_is_live_migratable(one) for one in term)
            for term in self.terms
        )


def validate_name(name: str) -> None:
    """Check the name of a PCI flavor.

    :raises exception.InvalidPciFlavor: it is empty or too long, cannot be
        printed, has blanks at its ends, has a separator of the request
        grammar or of paths, or could be taken for a UUID.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
        reason = f'has to be a string of 1 to {MAX_NAME_LENGTH} characters'
    elif not name.isprintable():
        reason = 'has unprintable characters'
    elif name != name.strip():
        reason = 'has blanks at its ends'
    elif any(character in name for character in _RESERVED):
        reason = f'has one of {" ".join(_RESERVED)}'
    elif name in ('.', '..'):
        reason = 'has a meaning of its own in paths'
    elif uuidutils.is_uuid_like(name):
        reason = 'could be taken for a UUID'
    else:
        return
    raise exception.InvalidPciFlavor('name', reason, 'bigGPU')


#: The tag of devices that can move with a running guest, as in Nova.
_LIVE_MIGRATABLE = f'{extra_info.PREFIX}live_migratable'


def _is_live_migratable(one: condition.Condition) -> bool:
    patterns = tuple(one.patterns)
    return (
        one.key == _LIVE_MIGRATABLE
        and len(patterns) == 1
        and isinstance(patterns[0], pattern.Exact)
        and strutils.bool_from_string(patterns[0].text)
    )


def _invalid(
    key: str, reason: str, example: str = _EXAMPLE
) -> exception.InvalidPciFlavor:
    return exception.InvalidPciFlavor(key, reason, example)


def _parse_term(
    term: dict[str, str | list[str]],
) -> tuple[condition.Condition, ...]:
    return tuple(_parse_condition(key, term[key]) for key in sorted(term))


def _parse_condition(key: str, value: object) -> condition.Condition:
    is_tag = key.startswith(extra_info.PREFIX)
    try:
        if is_tag:
            extra_info.check_key(key.removeprefix(extra_info.PREFIX))
        else:
            _check_key(key)
        return condition.Condition(key, _read(key, value), json.dumps(value))
    except ValueError as error:
        example = '"10g"' if is_tag else _EXAMPLE
        if key in KEYS:
            example = condition.KEYS[key].example
        raise _invalid(key, str(error), example) from error


def _check_key(key: str) -> None:
    if key in KEYS:
        return
    if key in condition.KEYS:
        raise ValueError(
            "names one host's device; give the device a tag in that host's "
            'pci_information and match e.<tag>'
        )
    near = condition.nearest_key(key)
    hint = f'did you mean {near!r}?' if near in KEYS else f'or is it e.{key}?'
    raise ValueError(f'no such match key, {hint}')


def _read(key: str, value: object) -> frozenset[pattern.Pattern]:
    if not isinstance(value, list):
        text = extra_info.check_value(value)
        if operation.Operation.is_meant(text):
            return _read_operation(key, operation.Operation.parse(text))
        return _read_values(key, [text])
    texts = [extra_info.check_value(item) for item in value]
    if not texts:
        raise ValueError('an empty list matches nothing')
    if any(operation.Operation.is_meant(text) for text in texts):
        raise ValueError('no operator in a list: use one <or> expression')
    return _read_values(key, texts)


def _read_operation(
    key: str, expression: operation.Operation
) -> frozenset[pattern.Pattern]:
    """Return patterns for an operator; equality is that of plain values."""
    if expression.operator in ('<or>', 's=='):
        return _read_values(key, expression.operands)
    if expression.operator == 's!=':
        return frozenset(
            {pattern.NoneOf(_read_values(key, expression.operands))}
        )
    allowed = _OPERATORS.get(key, frozenset())
    if key.startswith(extra_info.PREFIX):
        allowed = _TAG_OPERATORS
    if expression.operator not in allowed:
        raise ValueError(
            f'the operator {expression.operator} does not apply here; '
            f'possible: {" ".join(sorted(allowed | {"<or>", "s==", "s!="}))}'
        )
    return frozenset({expression})


def _read_values(
    key: str, values: Iterable[str]
) -> frozenset[pattern.Pattern]:
    if key.startswith(extra_info.PREFIX):
        return frozenset(pattern.Exact(value) for value in values)
    patterns = condition.Condition.parse(key, list(values)).patterns
    if key in _OPERATORS and any(
        isinstance(one, pattern.Regex) for one in patterns
    ):
        raise ValueError('no glob here: list the values')
    return patterns
