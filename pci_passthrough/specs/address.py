# SPDX-License-Identifier: Apache-2.0
"""PCI addresses as an operator writes them: exact, glob, or Nova's dict.

The rules are those of ``nova.pci.devspec``, so that an entry of Nova's
``[pci] device_spec`` means here what it meant there. A glob may have ``?``
and ``[…]`` here besides, and a domain more than four digits: those of Intel
VMD start at 10000.
"""

from collections.abc import Mapping
import dataclasses
import re

from pci_passthrough.specs import pattern

#: Part to its number of digits as printed, and its greatest value.
_PARTS = {
    'domain': (4, 0xFFFFFFFF),
    'bus': (2, 0xFF),
    'slot': (2, 0x1F),
    'function': (1, 0x7),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Recognizes an address by one regular expression for each part.

    As in Nova an expression has to match the beginning of its part, not
    all of it.
    """

    domain: re.Pattern[str]
    bus: re.Pattern[str]
    slot: re.Pattern[str]
    function: re.Pattern[str]

    def __call__(self, value: str) -> bool:
        expressions = (self.domain, self.bus, self.slot, self.function)
        parts = re.split('[:.]', value)
        return len(parts) == len(expressions) and all(
            expression.match(part)
            for expression, part in zip(expressions, parts, strict=True)
        )


def parse(text: str) -> pattern.Pattern:
    """Return what recognizes the addresses that a text means.

    Parts may be left out from the left, and the function; what is left out
    or empty is any: ``*:0a:00.*``, ``0a:00``, ``:00.1``.

    :raises ValueError: a part is not hexadecimal or out of its range.
    """
    front, _, function = text.strip().partition('.')
    fields = front.split(':')
    if len(fields) > 3:
        raise ValueError(f'{text!r} has more parts than dddd:bb:ss.f')
    fields = ['*'] * (3 - len(fields)) + fields + [function]
    domain, bus, slot, function = (
        pattern.hexadecimal(name, field.strip() or '*', *limits)
        for field, (name, limits) in zip(fields, _PARTS.items(), strict=True)
    )
    return pattern.glob(f'{domain}:{bus}:{slot}.{function}')


def parse_parts(parts: Mapping[str, object]) -> Parts:
    """Return what recognizes the addresses that Nova's dict means.

    :param parts: ``domain``, ``bus``, ``slot``, ``function`` to a regular
        expression each; ``.*`` if left out.
    :raises ValueError: another part, no regular expression, or a number
        that is out of its part's range or has not all of its digits: ``2``
        would mean each bus from 20 to 2f.
    """
    if unknown := sorted(parts.keys() - _PARTS.keys()):
        raise ValueError(f'an address has no part {unknown[0]!r}')
    return Parts(
        *(
            _part(name, parts.get(name, '.*'), *limits)
            for name, limits in _PARTS.items()
        )
    )


def _part(name: str, value: object, digits: int, most: int) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise ValueError(f'{name}: {value!r} is no string')
    if re.fullmatch('[0-9a-fA-F]+', value):
        pattern.hexadecimal(name, value, digits, most)
        if len(value) < digits:
            raise ValueError(f'{name} {value} has not all {digits} digits')
    try:
        return pattern.regex(value, ignore_case=True)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
