# SPDX-License-Identifier: Apache-2.0
"""Compares a report with the devices that the conductor knows."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import identity
from pci_passthrough.reporting import hardware_moves
from pci_passthrough.reporting import preparation
from pci_passthrough.reporting import sightings
from pci_passthrough.reporting import withholding


class Action:
    """The effect of a report on a device, as written to the ledger."""

    APPEAR = 'appear'
    CHANGE = 'change'
    RETURN = 'return'
    WITHDRAW = 'withdraw'
    REFUSE = 'refuse'
    MISS = 'miss'
    REMOVE = 'remove'
    #: other hardware is at the address of a held device
    CONFLICT = 'conflict'
    #: other hardware is at the address of a free device
    REPLACED = 'replaced'
    #: the hardware of a held device is at another address
    MOVE = 'move'


@dataclasses.dataclass(frozen=True)
class Change:
    """One consequence of a report.

    :ivar action: one of ``Action``.
    :ivar address: the device's address; the new one if it has moved.
    :ivar before: the known device; None if the device appears.
    :ivar values: the fields that change, with their new values.
    :ivar reason: why, for the ledger, if the values do not tell it.
    """

    action: str
    address: str
    before: objects.PciDevice | None
    values: Mapping[str, Any]
    reason: str | None = None


#: Why a device leaves, for the ledger.
_NOT_OFFERED = 'the PCI information of the host does not offer it any more'
_NOT_THERE = 'the host does not report it any more'


def changes(
    known: Iterable[objects.PciDevice], report: objects.HostReport
) -> list[Change]:
    """Return the changes of a host's devices by a report.

    A report never changes the holder of a device: a device is its hardware.
    If other hardware is at the address of a held device, the record stays as
    it is, in conflict, unless the report proves where the hardware is now.

    :param known: all devices of the host in the database.
    :param report: a full report, or changes of the generation of ``known``.
    :returns: at most one change per address, beside the removal of a free
        device to whose address a held one moves.
    """
    by_address = {device.address: device for device in known}
    seen = sightings.Sightings.of(report)
    moves = hardware_moves.proven(by_address, seen)
    replaced = [
        Change(Action.REMOVE, address, by_address[address], {})
        for address in sorted(moves.values())
        if address in by_address and address not in moves
    ]
    seen = seen.with_known(by_address, moves.values())
    moved = {
        new: by_address[old].replace(address=new, conflict=None)
        for old, new in moves.items()
    }
    at_home = {a: d for a, d in by_address.items() if a not in moves} | moved
    others = {change.address: change for change in _by_report(at_home, seen)}
    return [
        *replaced,
        *(
            _move(by_address[old], new, others.pop(new, None))
            for old, new in sorted(moves.items())
        ),
        *others.values(),
    ]


def _move(
    before: objects.PciDevice, address: str, change: Change | None
) -> Change:
    """Return the change of a device that has moved.

    :param change: what the report changes beside the address.
    """
    if change is not None and change.action == Action.REMOVE:
        return Change(Action.REMOVE, before.address, before, {})
    values = {} if change is None else dict(change.values)
    values = {'address': address, 'conflict': None, **values}
    if 'status' not in values:
        values |= preparation.moved(before, before.replace(**values))
    return Change(Action.MOVE, address, before, values)


def must_be_kept(device: objects.PciDevice) -> bool:
    """Whether the record of a device that left the host must be kept.

    An instance must keep the device that it holds, and an operator's decision
    about a device must be in force when the device comes back. A conflict
    stays until an operator decides, even if nobody holds the device any more:
    its hardware, with the data on it, may be at another address.
    """
    return (
        not device.is_fresh
        or device.get('conflict') is not None
        or withholding.is_operators(device.disabled_reason)
    )


def _by_report(
    known: Mapping[str, objects.PciDevice], seen: sightings.Sightings
) -> list[Change]:
    """Return the changes of devices that stay at their addresses."""
    matched = seen.offered.keys() | seen.refused.keys()
    withdrawn = known.keys() & seen.withdrawn.keys() - matched
    gone = {a for a in known.keys() - matched - withdrawn if seen.is_gone(a)}
    return [
        *_reported(known, seen.offered, fields.Presence.OFFERED),
        *_reported(known, seen.refused, fields.Presence.WITHDRAWN),
        *_leaving(known, seen, withdrawn, Action.WITHDRAW),
        *_leaving(known, seen, gone, Action.MISS),
    ]


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
            values |= _confirmation(device)
            if is_offered and values['handlers']:
                values |= preparation.begin(fields.PreparationStep.SETUP)
            yield Change(action, address, None, values)
            continue
        hardware = identity.Identity.of(device)
        is_other = identity.Identity.of(before).contradicts(hardware)
        if is_other and sightings.keeps_hardware(before):
            yield from _in_conflict(before, hardware, device.pci_class)
            continue
        values = _differences(before, device)
        if before.get('conflict') is not None:
            values['conflict'] = None
        if before.presence != presence or (
            not is_offered and before.get('refusal') is None
        ):
            values['presence'] = presence
            action = Action.RETURN if is_offered else Action.REFUSE
        else:
            action = Action.CHANGE
        if is_other:
            action = Action.REPLACED
            if not withholding.is_operators(before.disabled_reason):
                values |= _confirmation(device)
        if values:
            values |= preparation.reported(
                before,
                before.replace(**values),
                is_offered_anew=is_offered
                and action in (Action.RETURN, Action.REPLACED),
            )
            yield Change(action, address, before, values)


def _confirmation(device: objects.PciDevice) -> dict[str, str]:
    """Return the values that take new hardware out of service, if wanted."""
    if device.get('confirm_new'):
        return {'disabled_reason': withholding.UNCONFIRMED}
    return {}


def _in_conflict(
    before: objects.PciDevice,
    hardware: identity.Identity | None,
    pci_class: str | None = None,
) -> Iterator[Change]:
    """Yield the change of a device that has lost its address.

    :param hardware: what is at the address; None if nothing is.
    """
    if hardware is None:
        what = 'nothing'
    else:
        what = hardware.in_words
        if pci_class is not None:
            what += f' of class {pci_class}'
    mine = identity.Identity.of(before).in_words
    after = {
        'conflict': f'{what} is at its address, instead of {mine}',
        'presence': fields.Presence.MISSING,
        'refusal': None,
    }
    values = {n: value for n, value in after.items() if before.get(n) != value}
    if values:
        values |= preparation.moved(before, before.replace(**values))
        yield Change(Action.CONFLICT, before.address, before, values)


def _differences(
    before: objects.PciDevice, after: objects.PciDevice
) -> dict[str, Any]:
    held = before.status != fields.DeviceStatus.AVAILABLE
    hidden = (
        objects.device.HIDDEN_IN_GUESTS
        if held and not after.is_bound_to_host
        else ()
    )
    # An agent that cannot read them any more says nothing about the hardware.
    unknown = (*identity.FIELDS, 'iommu_group') if held else ()
    # A report for an older conductor does not tell: they are still wanted.
    if after.get('handlers') is None:
        hidden = (*hidden, 'handlers', 'on_failure')
    known = before.reported()
    return {
        name: value
        for name, value in after.reported().items()
        if value != known[name]
        and name not in hidden
        and not (value is None and name in unknown)
    }


def _leaving(
    known: Mapping[str, objects.PciDevice],
    seen: sightings.Sightings,
    addresses: Iterable[str],
    action: str,
) -> Iterator[Change]:
    presence, reason = (
        (fields.Presence.WITHDRAWN, _NOT_OFFERED)
        if action == Action.WITHDRAW
        else (fields.Presence.MISSING, _NOT_THERE)
    )
    for address in sorted(addresses):
        device = known[address]
        if not must_be_kept(device):
            yield Change(Action.REMOVE, address, device, {}, reason)
            continue
        hardware = seen.identity_at(address)
        if seen.displaces(device) and (
            hardware is not None or device.get('conflict') is not None
        ):
            if hardware is not None or action == Action.MISS:
                yield from _in_conflict(device, hardware)
            continue
        if not must_be_kept(device.replace(conflict=None)):
            # Its hardware is back, and nobody holds it any more.
            yield Change(Action.REMOVE, address, device, {}, reason)
            continue
        after = {'presence': presence, 'refusal': None, 'conflict': None}
        values = {
            name: value
            for name, value in after.items()
            if device.get(name) != value
        }
        if values:
            yield Change(action, address, device, values, reason)
