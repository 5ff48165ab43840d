# SPDX-License-Identifier: Apache-2.0
"""Compares a report with the devices that the conductor knows."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from pci_passthrough import objects
from pci_passthrough.objects import fields


class Action:
    """The effect of a report on a device, as written to the ledger."""

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
    :ivar address: the device's address.
    :ivar before: the known device; None if the device appears.
    :ivar values: the fields that change, with their new values.
    """

    action: str
    address: str
    before: objects.PciDevice | None
    values: Mapping[str, Any]


def changes(
    known: Iterable[objects.PciDevice], report: objects.HostReport
) -> list[Change]:
    """Return the changes of a host's devices by a report.

    A report never changes the holder of a device.

    :param known: all devices of the host in the database.
    :param report: a full report, or changes of the generation of ``known``.
    """
    by_address = {device.address: device for device in known}
    offered = {device.address: device for device in report.offered}
    # An address in two lists must not change twice; offered has precedence.
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
    """Whether the record of a device that left the host must be kept.

    An instance must keep the device that it holds, and an operator's decision
    about a device must be in force when the device comes back.
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
