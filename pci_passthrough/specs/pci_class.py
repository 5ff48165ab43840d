# SPDX-License-Identifier: Apache-2.0
"""PCI class codes, and the names of base classes."""

import difflib

from pci_passthrough.specs import pattern

#: Name to base class, the first byte of the class code. The codes are from
#: the PCI-SIG's "PCI Code and ID Assignment Specification", chapter 1; the
#: names are short forms of those in pci.ids (https://pci-ids.ucw.cz).
BASE_CLASSES = {
    'unclassified': '00',
    'storage': '01',
    'network': '02',
    'display': '03',
    'multimedia': '04',
    'memory': '05',
    'bridge': '06',
    'communication': '07',
    'system': '08',
    'input': '09',
    'docking': '0a',
    'processor': '0b',
    'serial': '0c',
    'wireless': '0d',
    'intelligent': '0e',
    'satellite': '0f',
    'encryption': '10',
    'crypto': '10',
    'signal': '11',
    'accelerator': '12',
    'processing': '12',
    'instrumentation': '13',
    'coprocessor': '40',
}

#: Name of a base class to what lspci and pci.ids call by the same word.
_OTHER_MEANINGS = {'coprocessor': '0b40, which lspci calls Co-processor'}

#: Base class, subclass and programming interface, two digits each.
_DIGITS = 6


def parse(text: str) -> pattern.Pattern:
    """Parse the name of a class, a class code or a glob over class codes.

    :param text: a name of ``BASE_CLASSES``; the base class, the base class
        and subclass, or the whole code in hexadecimal (``02``, ``0x0200``,
        ``020000``); or a glob over the six digits (``02*``).
    :returns: a pattern for class codes of six hexadecimal digits.
    :raises ValueError: the text is none of these.
    """
    name = text.strip().lower()
    if name in BASE_CLASSES:
        return pattern.compile_glob(f'{BASE_CLASSES[name]}*')
    code = name.removeprefix('0x')
    try:
        collapsed = pattern.collapse_sets(code, '0-9a-f')
    except ValueError as error:
        near = difflib.get_close_matches(name, BASE_CLASSES, n=1)
        hint = f', did you mean {near[0]!r}?' if near else ''
        raise ValueError(f'there is no class {text!r}{hint}') from error
    if '*' not in collapsed and len(collapsed) in (2, 4):
        return pattern.compile_glob(f'{code}*')
    if len(collapsed.replace('*', '')) > _DIGITS or (
        '*' not in collapsed and len(collapsed) != _DIGITS
    ):
        raise ValueError(f'a class code has 2, 4 or 6 digits, not {text!r}')
    return pattern.compile_glob(code)


def explain(text: str) -> str | None:
    """Return the meaning of a class's name, for people; None for a code."""
    name = text.strip().lower()
    if name not in BASE_CLASSES:
        return None
    meaning = f'base class {BASE_CLASSES[name]}'
    if name in _OTHER_MEANINGS:
        meaning += f', not {_OTHER_MEANINGS[name]}'
    return meaning
