# SPDX-License-Identifier: Apache-2.0
"""The form of tags: what pci_information adds and PCI flavors match."""

import re

from pci_passthrough.specs import pattern

#: Longest key of a tag.
MAX_KEY_LENGTH = 64

#: Marks a tag among the match keys of a PCI flavor.
PREFIX = 'e.'

_KEY = re.compile(r'[a-z0-9][a-z0-9_.-]*', re.ASCII)


def check_key(key: str) -> None:
    """Check a tag's key, without ``PREFIX``.

    :raises ValueError: it is too long or has other characters.
    """
    if len(key) > MAX_KEY_LENGTH:
        raise ValueError(f'the key is longer than {MAX_KEY_LENGTH} characters')
    if not _KEY.fullmatch(key):
        raise ValueError(
            'a key has lower case letters, digits, "_", "." and "-" only, '
            'and begins with a letter or digit'
        )


def check_value(value: object) -> str:
    """Return a tag's value if it is one.

    Blanks at the ends are refused since some databases do not tell them
    apart.

    :raises ValueError: it is no string, empty, too long, has characters
        that cannot be seen, or blanks at its ends.
    """
    if value is None:
        raise ValueError('null is no string; leave the key out to say none')
    if isinstance(value, bool | int | float):
        raise ValueError('not a string: quote it')
    if not isinstance(value, str):
        raise ValueError('not a string')
    if not value:
        raise ValueError('empty')
    if len(value) > pattern.MAX_LENGTH:
        raise ValueError(f'longer than {pattern.MAX_LENGTH} characters')
    if not value.isprintable() or value != value.strip():
        raise ValueError('has blanks at its ends or unprintable characters')
    return value
