# SPDX-License-Identifier: Apache-2.0
"""Finds held devices whose hardware is at another address now. Pure.

Adding a card shifts the bus numbers of others at the next boot. A device that
has a serial number is recognized at its new address.
"""

import collections
from collections.abc import Mapping

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import identity
from pci_passthrough.reporting import sightings


def proven(
    known: Mapping[str, objects.PciDevice], seen: sightings.Sightings
) -> dict[str, str]:
    """Return the old and the new addresses of devices that have moved.

    A device has moved if its hardware is not at its address, and if it has a
    serial number that the host reports at exactly one other address. The
    record of another device that stays at that address prevents the move: it
    is held, or in conflict.

    :param known: all devices of the host, by address.
    :param seen: what the report says.
    """
    addresses = _addresses(known, seen)
    displaced = [
        device
        for device in known.values()
        if sightings.keeps_hardware(device) and seen.displaces(device)
    ]
    claimants = collections.Counter(map(identity.function_of, displaced))
    moves = {}
    for device in displaced:
        function = identity.function_of(device)
        places = addresses.get(function, ())
        if (
            function[0].proves(function[0])
            and len(places) == 1
            and claimants[function] == 1
            and places[0] != device.address
        ):
            moves[str(device.address)] = places[0]
    while blocked := [
        old
        for old, new in moves.items()
        if new not in moves
        and new in known
        and sightings.keeps_hardware(known[new])
    ]:
        # A device that does not move may block another one.
        for old in blocked:
            del moves[old]
    return moves


def _addresses(
    known: Mapping[str, objects.PciDevice], seen: sightings.Sightings
) -> dict[identity.Function, list[str]]:
    """Return the addresses of all hardware that is known to be there."""
    hardware = {
        address: identity.Identity.of(device)
        for address, device in known.items()
        if not seen.mentions(address)
        and device.presence != fields.Presence.MISSING
        and device.get('conflict') is None
    } | seen.identities()
    addresses: dict[identity.Function, list[str]] = collections.defaultdict(
        list
    )
    for address, seen_there in hardware.items():
        addresses[seen_there, identity.number_of(address)].append(address)
    return addresses
