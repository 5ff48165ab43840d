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
from pci_passthrough.objects import fields
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import match_key
from pci_passthrough.specs import operators
from pci_passthrough.specs import pattern

#: Longest name, as in Nova's and Neutron's APIs.
MAX_NAME_LENGTH = 255

#: Most terms (OR) of a match expression.
MAX_TERMS = 64

#: The match keys of a PCI flavor: those that are properties of pools.
KEYS = tuple(
    key
    for key in match_key.KEYS
    if match_key.FIELDS.get(key, key) in objects.POOL_FIELDS
)

_EXAMPLE = '[{"vendor_id": "8086", "e.group": "10g"}]'

# Separators of the request grammar, and of URL paths, in which the API
# accepts names.
_RESERVED = ',|:/'

# Operators by match key. The other keys have values of a fixed form, for
# which globs are used instead.
_OPERATORS = {
    'numa_node': operators.NUMERIC,
    'driver': operators.TEXTUAL,
}
_TAG_OPERATORS = operators.NUMERIC | operators.TEXTUAL | operators.LISTS


@dataclasses.dataclass(frozen=True, slots=True)
class MatchExpression:
    """A PCI flavor's match: conditions on the properties of pools.

    A term that has a condition on hardware and names no ``resource_type`` is
    about PCI functions: ``vendor_id`` alone is not meant for the mediated
    devices of a GPU, too. A term of tags only is about devices of all types.

    Immutable and hashable; the order within a term does not count.
    """

    #: alternatives (OR) of conditions that must all be fulfilled (AND)
    terms: tuple[tuple[condition_spec.Condition, ...], ...]

    @classmethod
    def parse(cls, match: list[dict[str, str | list[str]]]) -> Self:
        """Parse a PCI flavor's ``match``.

        :param match: list (OR) of objects (AND) of key to value. Keys are
            ``KEYS`` and ``e.<extra info key>``. A value is a string, a list
            of alternatives, or an operator expression of
            ``oslo_utils.specs_matcher``. Ids and classes may be globs.
        :raises exception.InvalidPciFlavor: the match is malformed. The error
            names the key at fault.
        """
        if not isinstance(match, list) or not all(
            isinstance(term, dict) for term in match
        ):
            raise _invalid('match', 'must be a list of objects')
        if not match:
            raise _invalid('match', 'an empty list matches no device')
        if len(match) > MAX_TERMS:
            raise _invalid('match', f'more than {MAX_TERMS} objects')
        if not all(match):
            raise _invalid('match', 'an empty object matches every device')
        return cls(tuple(_parse_term(term) for term in match))

    @property
    def live_migratable(self) -> bool:
        """Whether every matching device can be live-migrated with its guest.

        True if each term requires the tag ``live_migratable`` of Nova's
        ``[pci] device_spec`` with a value that Nova treats as true. A
        condition with several values could match another device.
        """
        return self._requires(_LIVE_MIGRATABLE)

    @property
    def trusted(self) -> bool:
        """Whether every matching device may be trusted by its host.

        True if each term requires the tag ``trusted``, as above.
        """
        return self._requires(_TRUSTED)

    def _requires(self, tag: str) -> bool:
        """Whether each term requires a tag that is true."""
        return all(
            any(_requires_true(condition, tag) for condition in term)
            for term in self.terms
        )


def validate_name(name: str) -> None:
    """Check the name of a PCI flavor.

    :raises exception.InvalidPciFlavor: the name is empty or too long, is not
        printable, has blanks at its ends, contains a separator of the
        request grammar or of URL paths, or looks like a UUID.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
        reason = f'must be a string of 1 to {MAX_NAME_LENGTH} characters'
    elif not name.isprintable():
        reason = 'has unprintable characters'
    elif name != name.strip():
        reason = 'has blanks at its ends'
    elif any(character in name for character in _RESERVED):
        reason = f'has one of {" ".join(_RESERVED)}'
    elif name in ('.', '..'):
        reason = 'has a special meaning in URL paths'
    elif uuidutils.is_uuid_like(name):
        reason = 'looks like a UUID'
    else:
        return
    raise exception.InvalidPciFlavor('name', reason, 'bigGPU')


_LIVE_MIGRATABLE = f'{extra_info.PREFIX}{extra_info.LIVE_MIGRATABLE}'

#: The tag of virtual functions that may be given the trusted mode, as in Nova.
_TRUSTED = f'{extra_info.PREFIX}trusted'


#: The condition that a term on hardware has by itself.
IS_PCI = condition_spec.Condition.parse(
    'resource_type', fields.ResourceType.PCI
)


def _requires_true(condition: condition_spec.Condition, tag: str) -> bool:
    patterns = tuple(condition.patterns)
    return (
        condition.key == tag
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
) -> tuple[condition_spec.Condition, ...]:
    keys = sorted(term)
    conditions = [_parse_condition(key, term[key]) for key in keys]
    has_hardware = not all(key.startswith(extra_info.PREFIX) for key in keys)
    if has_hardware and IS_PCI.key not in term:
        conditions.append(IS_PCI)
    return tuple(conditions)


def _parse_condition(key: str, value: object) -> condition_spec.Condition:
    is_tag = key.startswith(extra_info.PREFIX)
    try:
        if is_tag:
            extra_info.check_key(key.removeprefix(extra_info.PREFIX))
        else:
            _check_key(key)
        patterns = parse_value(key, value)
        return condition_spec.Condition(key, patterns, json.dumps(value))
    except ValueError as error:
        example = '"10g"' if is_tag else _EXAMPLE
        if key in KEYS:
            example = match_key.KEYS[key].example
        raise _invalid(key, str(error), example) from error


def _check_key(key: str) -> None:
    if key in KEYS:
        return
    if key in match_key.KEYS:
        raise ValueError(
            "identifies one host's device; give the device a tag in that "
            "host's pci_information and match e.<tag>"
        )
    near = match_key.nearest(key)
    hint = f'did you mean {near!r}?' if near in KEYS else f'or is it e.{key}?'
    raise ValueError(f'no such match key, {hint}')


def parse_value(key: str, value: object) -> frozenset[pattern.Pattern]:
    """Parse a value: a text, a list of alternatives or an operator.

    :param key: a match key, or any text after ``e.`` for values as of tags.
    :raises ValueError: the value is malformed.
    """
    if not isinstance(value, list):
        text = extra_info.check_value(value)
        if operators.OperatorExpression.starts_with_operator(text):
            return _parse_operator(
                key, operators.OperatorExpression.parse(text)
            )
        return _parse_values(key, [text])
    texts = [extra_info.check_value(item) for item in value]
    if not texts:
        raise ValueError('an empty list matches nothing')
    if any(
        operators.OperatorExpression.starts_with_operator(text)
        for text in texts
    ):
        raise ValueError('no operator in a list: use one <or> expression')
    return _parse_values(key, texts)


def _parse_operator(
    key: str, expression: operators.OperatorExpression
) -> frozenset[pattern.Pattern]:
    """Return the patterns of an operator; equality works as for plain values.

    :raises ValueError: the operator cannot be used with this key.
    """
    if expression.operator in ('<or>', 's=='):
        return _parse_values(key, expression.operands)
    if expression.operator == 's!=':
        return frozenset(
            {pattern.NoneOf(_parse_values(key, expression.operands))}
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


def _parse_values(
    key: str, values: Iterable[str]
) -> frozenset[pattern.Pattern]:
    if key.startswith(extra_info.PREFIX):
        return frozenset(pattern.Exact(value) for value in values)
    patterns = condition_spec.Condition.parse(key, list(values)).patterns
    if key in _OPERATORS and any(
        isinstance(value_pattern, pattern.Regex) for value_pattern in patterns
    ):
        raise ValueError('this key takes no glob: list the values')
    return patterns
