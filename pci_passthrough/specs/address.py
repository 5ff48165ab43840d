# SPDX-License-Identifier: Apache-2.0
"""PCI addresses as operators write them: exact, glob, or Nova's dict.

The rules are those of ``nova.pci.devspec``, so that an entry of Nova's
``[pci] device_spec`` keeps its meaning. Two extensions: a glob may also
contain ``?`` and ``[…]``, and a domain may have more than four digits,
because the domains of Intel VMD start at 10000.
"""

from collections.abc import Mapping
import dataclasses
import re

from pci_passthrough.specs import pattern

#: Part of an address to its number of digits in sysfs and greatest value.
_PARTS = {
    'domain': (4, 0xFFFFFFFF),
    'bus': (2, 0xFF),
    'slot': (2, 0x1F),
    'function': (1, 0x7),
}


@dataclasses.dataclass(frozen=True, slots=True)
class PartPatterns:
    """Matches an address by one regular expression for each part.

    As in Nova, an expression must match the beginning of its part only.
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
    """Parse an address or a glob over addresses.

    Leading parts and the function may be left out. An empty part, or a part
    that is left out, matches any value: ``*:0a:00.*``, ``0a:00``, ``:00.1``.

    :raises ValueError: a part is not hexadecimal or out of its range.
    """
    front, _, function = text.strip().partition('.')
    fields = front.split(':')
    if len(fields) > 3:
        raise ValueError(f'{text!r} has more parts than dddd:bb:ss.f')
    fields = ['*'] * (3 - len(fields)) + fields + [function]
    domain, bus, slot, function = (
        pattern.normalize_hex(name, field.strip() or '*', *limits)
        for field, (name, limits) in zip(fields, _PARTS.items(), strict=True)
    )
    return pattern.compile_glob(f'{domain}:{bus}:{slot}.{function}')


def parse_parts(parts: Mapping[str, object]) -> PartPatterns:
    """Parse Nova's dict of one regular expression for each part.

    :param parts: ``domain``, ``bus``, ``slot``, ``function`` to a regular
        expression each; a missing part means ``.*``.
    :raises ValueError: an unknown part, an invalid regular expression, or a
        number that is out of its part's range or lacks digits: ``2`` would
        match each bus from 20 to 2f.
    """
    if unknown := sorted(parts.keys() - _PARTS.keys()):
        raise ValueError(f'an address has no part {unknown[0]!r}')
    return PartPatterns(
        *(
            _parse_part(name, parts.get(name, '.*'), *limits)
            for name, limits in _PARTS.items()
        )
    )


def _parse_part(
    name: str, value: object, digits: int, maximum: int
) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise ValueError(f'{name}: {value!r} is no string')
    if re.fullmatch('[0-9a-fA-F]+', value):
        pattern.normalize_hex(name, value, digits, maximum)
        if len(value) < digits:
            raise ValueError(f'{name} {value} has not all {digits} digits')
    try:
        return pattern.compile_regex(value, ignore_case=True)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
