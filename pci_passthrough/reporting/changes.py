# SPDX-License-Identifier: Apache-2.0
"""The conductor's side: what a report changes in what is known."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from pci_passthrough import objects
from pci_passthrough.objects import fields


class Action:
    """What happens to a known device; also the word in the ledger."""

    APPEAR = 'appear'
    CHANGE = 'change'
    RETURN = 'return'
    WITHDRAW = 'withdraw'
    MISS = 'miss'
    REMOVE = 'remove'


@dataclasses.dataclass(frozen=True)
class Change:
    """One consequence of a report.

    :ivar action: one of ``Action``.
    :ivar address: the device's.
    :ivar before: the device as known; None if it appears.
    :ivar values: fields that get new values.
    """

    action: str
    address: str
    before: objects.PciDevice | None
    values: Mapping[str, Any]


def changes(
    known: Iterable[objects.PciDevice], report: objects.HostReport
) -> list[Change]:
    """Return what a report changes. Ownership is never among it.

    :param known: all devices of the host that the conductor has.
    :param report: full, or based on the generation of ``known``.
    """
    by_address = {device.address: device for device in known}
    offered = {device.address: device for device in report.offered}
    # An address in two lists would be changed twice: offered wins.
    withdrawn = by_address.keys() & set(report.withdrawn) - offered.keys()
    gone = by_address.keys() - offered.keys() - withdrawn
    if not report.is_full:
        gone &= set(report.gone)
    return [
        *_offered(by_address, offered),
        *_leaving(by_address, withdrawn, Action.WITHDRAW),
        *_leaving(by_address, gone, Action.MISS),
    ]


def must_be_kept(device: objects.PciDevice) -> bool:
    """Whether the record says more than that the device exists.

    Whoever holds a device must find it again, and what an operator decided
    about it must hold when it comes back.
    """
    return (
        device.status != fields.DeviceStatus.AVAILABLE
        or device.disabled_reason is not None
    )


def _offered(
    known: Mapping[str, objects.PciDevice],
    offered: Mapping[str, objects.PciDevice],
) -> Iterator[Change]:
    for address, device in sorted(offered.items()):
        before = known.get(address)
        if before is None:
            yield Change(Action.APPEAR, address, None, device.reported())
            continue
        values = _differences(before, device)
        if before.presence != fields.Presence.OFFERED:
            values['presence'] = fields.Presence.OFFERED
            yield Change(Action.RETURN, address, before, values)
        elif values:
            yield Change(Action.CHANGE, address, before, values)


def _differences(
    before: objects.PciDevice, after: objects.PciDevice
) -> dict[str, Any]:
    held = before.status != fields.DeviceStatus.AVAILABLE
    hidden = (
        objects.device.HIDDEN_IN_GUESTS
        if held and not after.is_bound_to_host
        else ()
    )
    return {
        name: value
        for name, value in after.reported().items()
        if value != getattr(before, name) and name not in hidden
    }


def _leaving(
    known: Mapping[str, objects.PciDevice],
    addresses: Iterable[str],
    action: str,
) -> Iterator[Change]:
    presence = (
        fields.Presence.WITHDRAWN
        if action == Action.WITHDRAW
        else fields.Presence.MISSING
    )
    for address in sorted(addresses):
        device = known[address]
        if not must_be_kept(device):
            yield Change(Action.REMOVE, address, device, {})
        elif device.presence != presence:
            yield Change(action, address, device, {'presence': presence})
