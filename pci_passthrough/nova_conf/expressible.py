# SPDX-License-Identifier: Apache-2.0
"""What Nova's configuration can say of a condition.

Pure. Nova compares with exact values (``nova.pci.devspec``,
``nova.pci.utils.pci_device_prop_match``), so alternatives and globs are
written out, as far as there are few.
"""

from collections.abc import Iterator
import functools
import json
import re

from pci_passthrough.specs import condition
from pci_passthrough.specs import pattern

#: Most values, or lines, that are written out for one entry.
MOST = 64

#: What Nova's addresses have, by part: digits.
_PARTS = {'domain': 4, 'bus': 2, 'slot': 2, 'function': 1}

_MAX_DOMAIN = 0xFFFF


@functools.lru_cache(maxsize=1)
def _all_ids() -> frozenset[str]:
    return frozenset(format(number, '04x') for number in range(0x10000))


@functools.lru_cache(maxsize=256)
def _ids(one: condition.Condition) -> frozenset[str]:
    return frozenset(one.among(_all_ids()))


def ids(one: condition.Condition) -> tuple[str, ...] | None:
    """Return the ids that fit a condition; None if all do.

    :raises ValueError: they are too many to be written out.
    """
    found = _ids(one)
    if len(found) == len(_all_ids()):
        return None
    if not found:
        raise ValueError('no id fits it')
    if len(found) > MOST:
        raise ValueError(f'{len(found)} ids fit it, too many to be named')
    return tuple(sorted(found))


def exact(one: condition.Condition) -> list[str]:
    """Return the values that fit a condition.

    :raises ValueError: it is not one of exact values.
    """
    found = [p.text for p in one.patterns if isinstance(p, pattern.Exact)]
    if len(found) < len(one.patterns):
        raise ValueError('Nova compares with exact values only')
    return sorted(found)


def addresses(
    one: condition.Condition,
) -> list[str | dict[str, str] | None]:
    """Return Nova's addresses for a condition, alternatives in order.

    :returns: Nova's string or dictionary of regular expressions; None: any.
    :raises ValueError: Nova cannot say it.
    """
    value = json.loads(one.text)
    items = value if isinstance(value, list) else [value]
    return [
        _glob(item) if isinstance(item, str) else _expressions(item)
        for item in items
    ]


def _glob(text: str) -> str | dict[str, str] | None:
    # As ``specs.address`` reads it; it was checked there.
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
        name: ''.join(_translated(part)) + '$'
        for name, part in parts.items()
        if part != '*'
    }


def _part(text: str, digits: int) -> str:
    return format(int(text, 16), f'0{digits}x') if text.isalnum() else text


def _translated(glob: str) -> Iterator[str]:
    """Return a glob's pieces as a regular expression."""
    for piece in re.findall(r'\[!?[^]]+\]|.', glob):
        if piece == '*':
            yield '.*'
        elif piece == '?':
            yield '.'
        else:
            yield piece.replace('[!', '[^', 1)


def _expressions(parts: dict[str, str]) -> dict[str, str]:
    if 'regex' in parts:
        raise ValueError(
            'Nova has a regular expression for each part of an address, none '
            'for the whole'
        )
    return {name: _expression(text) for name, text in parts.items()}


def _expression(text: str) -> str:
    """Return an expression that means in Nova what it means here.

    Here case does not count. And four plain numbers would be one address to
    Nova, which means the virtual functions of a physical one, too.
    """
    if re.fullmatch('[0-9a-fA-F]+', text):
        return f'{text.lower()}$'
    ignores_case = text == text.lower() and not re.search('[0-9]-[a-z]', text)
    return text if ignores_case else f'(?i){text}'
