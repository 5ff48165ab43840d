# SPDX-License-Identifier: Apache-2.0
"""One match key and what a device's value of it must be.

``KEYS`` is the vocabulary of pci_information's ``match``, and the part of
it that pools have is the vocabulary of PCI flavors.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Set
import dataclasses
import difflib
import json
from typing import Self

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import address
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import pattern
from pci_passthrough.specs import pci_class


@dataclasses.dataclass(frozen=True, slots=True)
class MatchKey:
    """What may be written for one key."""

    #: reads one string; raises ValueError
    read: Callable[[str], pattern.Pattern]
    #: a value that is right, as JSON
    example: str
    #: whether ``{"regex": …}`` makes sense
    regex: bool = True
    #: whether it ignores case, as hexadecimal digits do
    ignore_case: bool = True


def _read_id(text: str) -> pattern.Pattern:
    return pattern.glob(pattern.hexadecimal('the id', text, 4, 0xFFFF))


def _read_dev_type(text: str) -> pattern.Pattern:
    if text not in fields.DevType.ALL:
        known = ', '.join(fields.DevType.ALL)
        raise ValueError(f'{text!r} is none of {known}')
    return pattern.Exact(text)


def _read_numa_node(text: str) -> pattern.Pattern:
    try:
        shaped = pattern.shape(text, '0-9')
    except ValueError as error:
        raise ValueError(
            f'{text!r} is not the number of a NUMA node'
        ) from error
    return pattern.glob(str(int(text)) if shaped.isdigit() else text)


def _read_name(text: str) -> pattern.Pattern:
    pattern.shape(text, r'A-Za-z0-9_.:@+\-')
    return pattern.glob(text)


_ID = MatchKey(_read_id, '"8086"')

#: Every key of a ``match``, in the order of help texts.
KEYS = {
    'vendor_id': _ID,
    'product_id': MatchKey(_read_id, '"10c[ab]"'),
    'subsystem_vendor_id': _ID,
    'subsystem_id': MatchKey(_read_id, '["0001", "0002"]'),
    'class': MatchKey(pci_class.parse, '"network"'),
    'address': MatchKey(address.parse, '"0000:65:00.*"'),
    'dev_type': MatchKey(_read_dev_type, '"type-VF"', regex=False),
    'driver': MatchKey(_read_name, '"vfio*"', ignore_case=False),
    'numa_node': MatchKey(_read_numa_node, '0'),
    'parent_addr': MatchKey(address.parse, '"0000:65:00.0"'),
    'devname': MatchKey(_read_name, '"eth0"', ignore_case=False),
}

#: Keys whose device field has another name: ``class`` is a word of Python.
FIELDS = {'class': 'pci_class'}

#: What people write for a key, and no likeness would tell.
_ALIASES = {
    'device': 'product_id',
    'device_id': 'product_id',
    'subsystem_device_id': 'subsystem_id',
    'subsystem_product_id': 'subsystem_id',
    'bdf': 'address',
    'interface': 'devname',
    'ifname': 'devname',
    'pf': 'parent_addr',
    'numa': 'numa_node',
    'type': 'dev_type',
}


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """What a device's value of one key must be.

    Immutable. Equal to a condition of the same key and the same
    alternatives, in whatever order and however written; so it can be the
    key of a memo.
    """

    #: a key of ``KEYS``, or ``e.<extra info key>``
    key: str
    #: any of these recognizes the value
    patterns: frozenset[pattern.Pattern]
    #: the value as it was written, as JSON
    text: str = dataclasses.field(compare=False)

    @classmethod
    def parse(cls, key: str, value: object) -> Self:
        """Read the value of a key.

        :param key: a key of ``KEYS``.
        :param value: parsed JSON: a string (hexadecimal, name or glob), a
            list of such, ``{"regex": …}``, for ``numa_node`` an integer,
            for addresses Nova's dict of regular expressions.
        :raises ValueError: with the reason, without key and example.
        """
        patterns = frozenset(_read(KEYS[key], value))
        return cls(key, patterns, json.dumps(value))

    def __str__(self) -> str:
        return f'{self.key} = {self.text}'

    def accepts(self, value: str | None) -> bool:
        """Whether a value fits.

        :param value: as the device's or pool's field has it, numbers as
            decimal strings; None if it has no such property, which fits no
            condition.
        """
        return value is not None and any(
            recognizes(value) for recognizes in self.patterns
        )

    def among(self, values: Set[str]) -> set[str]:
        """Return those of some values that fit.

        The same as asking ``accepts`` for each; values that are given
        exactly, as most are, are looked up instead.
        """
        exact = {p.text for p in self.patterns if isinstance(p, pattern.Exact)}
        others = [
            recognizes
            for recognizes in self.patterns
            if not isinstance(recognizes, pattern.Exact)
        ]
        found = exact & values
        if others:
            found |= {v for v in values if any(r(v) for r in others)}
        return found

    def names(self, value: str | None) -> bool:
        """Whether a value is given exactly, not by a glob or the like."""
        return value is not None and pattern.Exact(value) in self.patterns

    def value_of(
        self, thing: objects.PciDevice | objects.PoolKey
    ) -> str | None:
        """Return what a device or pool has for this key, None if nothing."""
        if self.key.startswith(extra_info.PREFIX):
            tag = self.key.removeprefix(extra_info.PREFIX)
            return dict(thing.extra_info).get(tag)
        value = getattr(thing, FIELDS.get(self.key, self.key))
        return None if value is None else str(value)


def nearest_key(word: str) -> str | None:
    """Return the match key that was probably meant by a word, or None."""
    folded = word.lower().replace('-', '_')
    if folded in KEYS:
        return folded
    near = difflib.get_close_matches(folded, KEYS, n=1, cutoff=0.7)
    return near[0] if near else _ALIASES.get(folded)


def _read(key: MatchKey, value: object) -> Iterator[pattern.Pattern]:
    if isinstance(value, dict):
        yield _read_object(key, value)
    elif isinstance(value, list):
        if not value:
            raise ValueError('an empty list matches nothing')
        for item in value:
            yield _read_scalar(key, item)
    else:
        yield _read_scalar(key, value)


def _read_object(key: MatchKey, value: dict[str, object]) -> pattern.Pattern:
    if key.read is address.parse and 'regex' not in value:
        if not value:
            raise ValueError('an address without parts matches everything')
        return address.parse_parts(value)
    text = value.get('regex')
    if set(value) != {'regex'} or not isinstance(text, str):
        raise ValueError('an object has to be {"regex": "<expression>"}')
    if not key.regex:
        raise ValueError('no regular expression here: list the values')
    return pattern.Regex(pattern.regex(text, ignore_case=key.ignore_case))


def _read_scalar(key: MatchKey, value: object) -> pattern.Pattern:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.read is not _read_numa_node:
            raise ValueError('a bare number could be decimal: quote it')
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f'{json.dumps(value)} is of the wrong type')
    if not value.strip():
        raise ValueError('an empty string matches nothing')
    if len(value) > pattern.MAX_LENGTH:
        raise ValueError(f'longer than {pattern.MAX_LENGTH} characters')
    return key.read(value)
