# SPDX-License-Identifier: Apache-2.0
"""Expands a condition into the values that Nova's options can have. Pure.

Nova compares ids and names with exact values (``nova.pci.devspec``,
``nova.pci.utils.pci_device_prop_match``). Therefore alternatives and globs
are expanded, unless there are too many values.
"""

from collections.abc import Iterator
import functools
import json
import re

from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import pattern

#: Most values, or lines, into which one entry is expanded.
MAX_VALUES = 64

#: Part of a PCI address to its number of digits in Nova.
_PARTS = {'domain': 4, 'bus': 2, 'slot': 2, 'function': 1}

_MAX_DOMAIN = 0xFFFF


@functools.lru_cache(maxsize=1)
def _all_ids() -> frozenset[str]:
    return frozenset(format(number, '04x') for number in range(0x10000))


@functools.lru_cache(maxsize=256)
def _accepted_ids(condition: condition_spec.Condition) -> frozenset[str]:
    return frozenset(condition.accepted(_all_ids()))


def expand_ids(
    condition: condition_spec.Condition,
) -> tuple[str, ...] | None:
    """Return the ids that a condition accepts; None means all ids.

    :raises ValueError: the condition accepts no id, or too many ids.
    """
    ids = _accepted_ids(condition)
    if len(ids) == len(_all_ids()):
        return None
    if not ids:
        raise ValueError('no id matches it')
    if len(ids) > MAX_VALUES:
        raise ValueError(f'{len(ids)} ids match it, too many to list')
    return tuple(sorted(ids))


def exact_values(condition: condition_spec.Condition) -> list[str]:
    """Return the values that a condition lists.

    :raises ValueError: the condition has other patterns than exact values.
    """
    values = [
        value_pattern.text
        for value_pattern in condition.patterns
        if isinstance(value_pattern, pattern.Exact)
    ]
    if len(values) < len(condition.patterns):
        raise ValueError('Nova compares with exact values only')
    return sorted(values)


def expand_addresses(
    condition: condition_spec.Condition,
) -> list[str | dict[str, str] | None]:
    """Return Nova's addresses for a condition, in the order written.

    :returns: addresses as a string or as a dictionary of regular
        expressions; None means any address.
    :raises ValueError: Nova has no equivalent.
    """
    value = json.loads(condition.text)
    items = value if isinstance(value, list) else [value]
    return [
        _from_glob(item) if isinstance(item, str) else _from_parts(item)
        for item in items
    ]


def _from_glob(text: str) -> str | dict[str, str] | None:
    # ``specs.address`` has checked the text and parses it the same way.
    front, _, function = text.strip().partition('.')
    fields = front.split(':')
    fields = ['*'] * (3 - len(fields)) + fields + [function]
    parts = {
        name: _part(field.strip().lower().removeprefix('0x') or '*', digits)
        for field, (name, digits) in zip(fields, _PARTS.items(), strict=True)
    }
    if parts['domain'].isalnum() and int(parts['domain'], 16) > _MAX_DOMAIN:
        raise ValueError('Nova knows domains up to ffff only')
    if all(part == '*' for part in parts.values()):
        return None
    if all(part == '*' or part.isalnum() for part in parts.values()):
        return '{domain}:{bus}:{slot}.{function}'.format(**parts)
    return {
        name: ''.join(_regex_pieces(part)) + '$'
        for name, part in parts.items()
        if part != '*'
    }


def _part(text: str, digits: int) -> str:
    return format(int(text, 16), f'0{digits}x') if text.isalnum() else text


def _regex_pieces(glob: str) -> Iterator[str]:
    """Yield a glob's pieces as a regular expression."""
    for piece in re.findall(r'\[!?[^]]+\]|.', glob):
        if piece == '*':
            yield '.*'
        elif piece == '?':
            yield '.'
        else:
            yield piece.replace('[!', '[^', 1)


def _from_parts(parts: dict[str, str]) -> dict[str, str]:
    if 'regex' in parts:
        raise ValueError(
            'Nova has a regular expression for each part of an address, none '
            'for the whole address'
        )
    return {name: _expression(text) for name, text in parts.items()}


def _expression(text: str) -> str:
    """Return a regular expression with the same meaning in Nova.

    Here case is ignored. And Nova takes four plain numbers for one address,
    which would also match the virtual functions of a physical function.
    """
    if re.fullmatch('[0-9a-fA-F]+', text):
        return f'{text.lower()}$'
    ignores_case = text == text.lower() and not re.search('[0-9]-[a-z]', text)
    return text if ignores_case else f'(?i){text}'
