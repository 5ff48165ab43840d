# SPDX-License-Identifier: Apache-2.0
"""Devices that Nova's configuration and this project's both give away.

Pure. Such a device could be promised twice, so nova-compute does not start
with one. A PF and its VFs count as one device: who gets the PF has them all.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from pci_passthrough import objects

#: Addresses that are named for one pair of entries.
_MOST_ADDRESSES = 8


@dataclasses.dataclass(frozen=True, slots=True)
class NativeMatch:
    """A device of the host which ``[pci] device_spec`` matches.

    :ivar entry: the entry, as JSON.
    """

    address: str
    parent_addr: str | None
    entry: str


def find(
    native: Iterable[NativeMatch], offered: Mapping[str, objects.PciDevice]
) -> dict[str, str]:
    """Return the devices that are matched by both.

    :param offered: by address, what this project offers on the host.
    :returns: address, as this project has it, to a text naming the entries.
    """
    entries: dict[str, str] = {}
    vfs_of: dict[str, list[str]] = collections.defaultdict(list)
    for address, device in offered.items():
        if device.parent_addr is not None:
            vfs_of[device.parent_addr].append(address)
    for match in native:
        related = [match.address, *vfs_of[match.address]]
        if match.parent_addr is not None:
            related.append(match.parent_addr)
        for address in related:
            if address in offered and address not in entries:
                entries[address] = match.entry
    return {
        address: _pair(entry, offered[address].offered_by)
        for address, entry in entries.items()
    }


def describe(found: Mapping[str, str]) -> str:
    """Return what ``find`` found, for the operator."""
    by_pair: dict[str, list[str]] = collections.defaultdict(list)
    for address, pair in sorted(found.items()):
        by_pair[pair].append(address)
    return '; '.join(
        f'{_some(addresses)}: {pair}' for pair, addresses in by_pair.items()
    )


def _pair(device_spec: str, pci_information: str | None) -> str:
    return (
        f'[pci] device_spec = {device_spec} of nova-compute and [agent] '
        f'pci_information = {pci_information or "(not known)"} of '
        'pci-passthrough-agent both match (a PF and its VFs count as one); '
        'take it out of one of them'
    )


def _some(addresses: list[str]) -> str:
    named = ', '.join(addresses[:_MOST_ADDRESSES])
    more = len(addresses) - _MOST_ADDRESSES
    return f'{named} and {more} more' if more > 0 else named
