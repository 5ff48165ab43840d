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
    REFUSE = 'refuse'
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
    # An address in several lists must not change twice; the first one counts.
    refused = {
        device.address: device
        for device in report.get('refused', ())
        if device.address not in offered
    }
    matched = offered.keys() | refused.keys()
    withdrawn = by_address.keys() & set(report.withdrawn) - matched
    gone = by_address.keys() - matched - withdrawn
    if not report.is_full:
        gone &= set(report.gone)
    return [
        *_reported(by_address, offered, fields.Presence.OFFERED),
        *_reported(by_address, refused, fields.Presence.WITHDRAWN),
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


def _reported(
    known: Mapping[str, objects.PciDevice],
    devices: Mapping[str, objects.PciDevice],
    presence: str,
) -> Iterator[Change]:
    """Yield the changes by devices that are reported with their facts.

    :param presence: ``OFFERED``, or ``WITHDRAWN`` for refused devices.
    """
    is_offered = presence == fields.Presence.OFFERED
    for address, device in sorted(devices.items()):
        before = known.get(address)
        if before is None:
            action = Action.APPEAR if is_offered else Action.REFUSE
            values = device.reported() | {'presence': presence}
            yield Change(action, address, None, values)
            continue
        values = _differences(before, device)
        if before.presence != presence or (
            not is_offered and before.get('refusal') is None
        ):
            values['presence'] = presence
            action = Action.RETURN if is_offered else Action.REFUSE
            yield Change(action, address, before, values)
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
        if value != before.get(name) and name not in hidden
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
            continue
        values: dict[str, str | None] = {}
        if device.presence != presence:
            values['presence'] = presence
        if device.get('refusal') is not None:
            values['refusal'] = None
        if values:
            yield Change(action, address, device, values)
