# SPDX-License-Identifier: Apache-2.0
"""Names of PCI classes, and class codes."""

import difflib

from pci_passthrough.specs import pattern

#: Name to base class, the first byte of the class code. The codes are those
#: of the PCI-SIG's "PCI Code and ID Assignment Specification", chapter 1;
#: the words are the short ones of pci.ids (https://pci-ids.ucw.cz).
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

#: Base class, subclass and programming interface, two digits each.
_DIGITS = 6


def parse(text: str) -> pattern.Pattern:
    """Return what recognizes a class code of six hexadecimal digits.

    :param text: a name of ``BASE_CLASSES``; base class, base class and
        subclass, or all of the code in hexadecimal (``02``, ``0x0200``,
        ``020000``); or a glob over the six digits (``02*``).
    :raises ValueError: it is nothing of these.
    """
    name = text.strip().lower()
    if name in BASE_CLASSES:
        return pattern.glob(f'{BASE_CLASSES[name]}*')
    code = name.removeprefix('0x')
    try:
        shaped = pattern.shape(code, '0-9a-f')
    except ValueError as error:
        near = difflib.get_close_matches(name, BASE_CLASSES, n=1)
        hint = f', did you mean {near[0]!r}?' if near else ''
        raise ValueError(f'there is no class {text!r}{hint}') from error
    if '*' not in shaped and len(shaped) in (2, 4):
        return pattern.glob(f'{code}*')
    if len(shaped.replace('*', '')) > _DIGITS or (
        '*' not in shaped and len(shaped) != _DIGITS
    ):
        raise ValueError(f'a class code has 2, 4 or 6 digits, not {text!r}')
    return pattern.glob(code)
