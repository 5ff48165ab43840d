# SPDX-License-Identifier: Apache-2.0
"""One condition of a match: a match key and the values that it accepts."""

from collections.abc import Iterator
from collections.abc import Set
import dataclasses
import json
from typing import Self

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import address
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import match_key
from pci_passthrough.specs import pattern


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """The values of one match key that a device must have to match.

    Immutable and hashable. Two conditions are equal if they have the same
    key and the same alternatives, regardless of order and spelling.
    """

    #: a key of ``match_key.KEYS``, or ``e.<extra info key>``
    key: str
    #: alternatives: a value must match one of these patterns
    patterns: frozenset[pattern.Pattern]
    #: the value as the user wrote it, as JSON
    text: str = dataclasses.field(compare=False)

    @classmethod
    def parse(cls, key: str, value: object) -> Self:
        """Parse the value of one match key.

        :param key: a key of ``match_key.KEYS``.
        :param value: parsed JSON: a string (hexadecimal, name or glob), a
            list of strings, ``{"regex": …}``, for decimal keys an integer,
            for addresses Nova's dict of regular expressions.
        :raises ValueError: the value is malformed. The message is the reason
            only, without key and example.
        """
        patterns = frozenset(_parse(key, value))
        return cls(key, patterns, json.dumps(value))

    def __str__(self) -> str:
        return f'{self.key} = {self.text}'

    def accepts(self, value: str | None) -> bool:
        """Return whether a property's value fulfils this condition.

        :param value: the value of the device's or pool key's field, numbers
            as decimal strings. None (the property is unknown) fulfils no
            condition.
        """
        return value is not None and any(
            matches(value) for matches in self.patterns
        )

    def accepted(self, values: Set[str]) -> set[str]:
        """Return the subset of some values that this condition accepts.

        Same result as ``accepts`` for each value, but exact values, which
        are the most common ones, are looked up in the set.
        """
        exact = {p.text for p in self.patterns if isinstance(p, pattern.Exact)}
        others = [
            matches
            for matches in self.patterns
            if not isinstance(matches, pattern.Exact)
        ]
        accepted = exact & values
        if others:
            accepted |= {v for v in values if any(m(v) for m in others)}
        return accepted

    def names_exactly(self, value: str | None) -> bool:
        """Return whether the condition lists a value literally."""
        return value is not None and pattern.Exact(value) in self.patterns

    def value_of(
        self, device: objects.PciDevice | objects.PoolKey
    ) -> str | None:
        """Return this key's value of a device or pool key, None if unset."""
        if self.key.startswith(extra_info.PREFIX):
            tag = self.key.removeprefix(extra_info.PREFIX)
            return dict(device.extra_info).get(tag)
        if self.key == 'resource_type':
            return _resource_type(device)
        value = getattr(device, match_key.FIELDS.get(self.key, self.key))
        return None if value is None else str(value)


def _resource_type(device: objects.PciDevice | objects.PoolKey) -> str:
    """Return a type, which agents of earlier releases do not report."""
    if isinstance(device, objects.PoolKey):
        return device.resource_type
    return str(device.get('resource_type', fields.ResourceType.PCI))


def _parse(key: str, value: object) -> Iterator[pattern.Pattern]:
    if isinstance(value, dict):
        yield _parse_object(key, value)
    elif isinstance(value, list):
        if not value:
            raise ValueError('an empty list matches nothing')
        for item in value:
            yield _parse_scalar(key, item)
    else:
        yield _parse_scalar(key, value)


def _parse_object(key: str, value: dict[str, object]) -> pattern.Pattern:
    if key in match_key.ADDRESS_KEYS and 'regex' not in value:
        if not value:
            raise ValueError('an address without parts matches everything')
        return address.parse_parts(value)
    text = value.get('regex')
    if set(value) != {'regex'} or not isinstance(text, str):
        raise ValueError('an object must be {"regex": "<expression>"}')
    syntax = match_key.KEYS[key]
    if not syntax.regex:
        raise ValueError(
            'this key takes no regular expression: list the values'
        )
    return pattern.Regex(
        pattern.compile_regex(text, ignore_case=syntax.ignore_case)
    )


def _parse_scalar(key: str, value: object) -> pattern.Pattern:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not match_key.KEYS[key].is_decimal:
            raise ValueError('a bare number could be decimal: quote it')
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f'{json.dumps(value)} is of the wrong type')
    if not value.strip():
        raise ValueError('an empty string matches nothing')
    if len(value) > pattern.MAX_LENGTH:
        raise ValueError(f'longer than {pattern.MAX_LENGTH} characters')
    return match_key.KEYS[key].parse(value)
