# SPDX-License-Identifier: Apache-2.0
"""Groups of devices: pool keys whose tag ``group`` or ``name`` is a name."""

from collections.abc import Mapping
import dataclasses
from typing import Final

from pci_passthrough import objects
from pci_passthrough.objects import fields

#: The tags that name a group. If both mean the same devices, the first counts.
TAGS: Final = ('group', 'name')


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """The pool keys that have a tag with the same value.

    :ivar tag: one of ``TAGS``.
    :ivar name: the tag's value.
    """

    tag: str
    name: str
    key_ids: frozenset[int]

    @property
    def match(self) -> fields.Match:
        """The match of a PCI flavor that means the group."""
        return [{f'e.{self.tag}': self.name}]


def find(keys: Mapping[int, objects.PoolKey]) -> dict[str, list[Group]]:
    """Return the groups of pool keys, by name, each in the order of ``TAGS``.

    A name has one group, unless its tags mean different devices.
    """
    members: dict[tuple[str, str], set[int]] = {}
    for key_id, key in keys.items():
        for tag, value in key.extra_info:
            if tag in TAGS:
                members.setdefault((value, tag), set()).add(key_id)
    groups: dict[str, list[Group]] = {}
    for (name, tag), key_ids in sorted(members.items()):
        same_name = groups.setdefault(name, [])
        if all(group.key_ids != key_ids for group in same_name):
            same_name.append(Group(tag, name, frozenset(key_ids)))
    return groups
