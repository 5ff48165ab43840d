# SPDX-License-Identifier: Apache-2.0
"""The syntax of tags, which pci_information adds and PCI flavors match."""

import difflib
import re

from pci_passthrough.specs import pattern

#: Longest key of a tag, in characters.
MAX_KEY_LENGTH = 64

#: Prefix that distinguishes a tag from a match key in a PCI flavor's match.
PREFIX = 'e.'

#: The tag of devices that can be live-migrated, as in Nova.
LIVE_MIGRATABLE = 'live_migratable'

#: Tags with a meaning of their own in Nova (``nova.pci.devspec``,
#: ``nova.pci.request``, ``nova.compute.pci_placement_translator``).
NOVA_TAGS = (
    'physical_network',
    'trusted',
    'remote_managed',
    'managed',
    LIVE_MIGRATABLE,
    'one_time_use',
    'resource_class',
    'traits',
)

#: Common words for a tag of Nova that are not similar to the tag itself.
_ALIASES = {'physnet': 'physical_network'}

_KEY = re.compile(r'[a-z0-9][a-z0-9_.-]*', re.ASCII)


def nearest(key: str) -> str | None:
    """Return the tag of Nova that a misspelled key probably means.

    :returns: None if the key is such a tag, or similar to none.
    """
    folded = key.lower().replace('-', '_')
    if key in NOVA_TAGS:
        return None
    near = difflib.get_close_matches(folded, NOVA_TAGS, n=1, cutoff=0.8)
    return near[0] if near else _ALIASES.get(folded)


def check_key(key: str) -> None:
    """Check a tag's key.

    :param key: without ``PREFIX``.
    :raises ValueError: the key is too long or has other characters.
    """
    if len(key) > MAX_KEY_LENGTH:
        raise ValueError(f'the key is longer than {MAX_KEY_LENGTH} characters')
    if not _KEY.fullmatch(key):
        raise ValueError(
            'a key has lower case letters, digits, "_", "." and "-" only, '
            'and begins with a letter or digit'
        )


def check_value(value: object) -> str:
    """Check a tag's value and return it.

    Blanks at the ends are refused because some databases ignore them when
    they compare strings.

    :raises ValueError: the value is not a string, empty, too long, or has
        unprintable characters or blanks at its ends.
    """
    if value is None:
        raise ValueError('null is no string; to set no tag, remove the key')
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
