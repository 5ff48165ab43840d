# SPDX-License-Identifier: Apache-2.0
"""Finds devices that nova.conf and pci_information both match.

Pure. Such a device could be promised twice, so nova-compute does not start
with one. A PF and its VFs count as one device: an instance with the PF has
all of them.
"""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from pci_passthrough import objects

#: Number of addresses that are listed for one pair of entries.
_MOST_ADDRESSES = 8


class MatchedTwice(SystemExit):
    """Both Nova's configuration and pci_information match a device."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        # An exit status, not the text: some programs that run services need
        # a number.
        self.code = 1


@dataclasses.dataclass(frozen=True, slots=True)
class NativeMatch:
    """A device of the host that nova.conf matches.

    :ivar entry: the value of the option; JSON of ``[pci] device_spec``.
    :ivar option: the option.
    """

    address: str
    parent_addr: str | None
    entry: str
    option: str = '[pci] device_spec'


def find(
    native: Iterable[NativeMatch], offered: Mapping[str, objects.PciDevice]
) -> dict[str, str]:
    """Return the devices that both configurations match.

    :param native: the devices that nova.conf matches.
    :param offered: address to device that pci_information offers.
    :returns: address of an offered device to a text with both entries.
    """
    entries: dict[str, NativeMatch] = {}
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
                entries[address] = match
    return {
        address: _pair(match, offered[address].offered_by)
        for address, match in entries.items()
    }


def describe(twice: Mapping[str, str]) -> str:
    """Return the result of ``find`` as text for operators."""
    by_pair: dict[str, list[str]] = collections.defaultdict(list)
    for address, pair in sorted(twice.items()):
        by_pair[pair].append(address)
    return '; '.join(
        f'{_abbreviate(addresses)}: {pair}'
        for pair, addresses in by_pair.items()
    )


def _pair(match: NativeMatch, pci_information: str | None) -> str:
    return (
        f'{match.option} = {match.entry} of nova-compute and [agent] '
        f'pci_information = {pci_information or "(not known)"} of '
        'pci-passthrough-agent both match (a PF and its VFs count as one, a '
        'GPU and its mediated devices, too); take it out of one of them'
    )


def _abbreviate(addresses: list[str]) -> str:
    listed = ', '.join(addresses[:_MOST_ADDRESSES])
    more = len(addresses) - _MOST_ADDRESSES
    return f'{listed} and {more} more' if more > 0 else listed
