# SPDX-License-Identifier: Apache-2.0
"""Resolving conflicts: an operator says where the hardware of a device is.

The records of held devices that are in conflict or missing stay as they are
until their hardware is back, a serial number proves where it is, or an
operator decides.
"""

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import identity
from pci_passthrough.reporting import preparation
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import moving
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import shared_groups
from pci_passthrough.store.devices import withheld

#: The name of the action, for operators and in the ledger.
ACTION = 'resolve'

#: The ledger's name of the end of a device whose hardware is gone.
GONE = 'gone'

_devices = models.pci_devices


@database.retried
def resolve(
    db: database.Writer,
    device: str,
    moved_to: str | None,
    reason: str,
    actor: str,
) -> objects.PciDevice:
    """Resolve the conflict of a device, or the loss of a missing one.

    The conductor then asks the agent for a full report, which tells what is
    at the address. If the operator was wrong, the device is in conflict again.

    :param device: UUID or ``host/address``.
    :param moved_to: the address at which the device's hardware is now: the
        record moves there, with its holder. None means that the hardware is
        gone: the instance does not hold the device any more, and the record
        is deleted.
    :param reason: one line of explanation.
    :returns: the device at its new address, or as it was before it was
        deleted, without holder and conflict.
    :raises: PciDeviceNotFound; DeviceStateConflict if the device is neither
        in conflict nor held and missing, or a device at the other address is
        held; Invalid if the other address cannot be right, or there is no
        reason.
    """
    if not reason.strip():
        raise exception.Invalid(
            'to resolve a conflict takes a reason, for the next operator; for '
            'example: a card was added, buses shifted by one'
        )
    operators.check_reason(reason)
    operators.check_actor(actor)
    with db.write() as connection:
        node_id, before = operators.lock(connection, device)
        if not _is_displaced(before):
            raise exception.DeviceStateConflict(
                _name(before), ACTION, before.state, ('conflict', 'missing')
            )
        if moved_to is None:
            after = _end(connection, before, reason, actor)
        else:
            after = _move(connection, node_id, before, moved_to, reason, actor)
        shared_groups.record(connection, node_id)
        withheld.renew(connection, node_id, actor)
        hosts.ask_for_report(connection, node_id)
        return after


def _is_displaced(device: objects.PciDevice) -> bool:
    return device.conflict is not None or (
        device.presence == fields.Presence.MISSING and not device.is_fresh
    )


def _end(
    connection: sa.Connection,
    before: objects.PciDevice,
    reason: str,
    actor: str,
) -> objects.PciDevice:
    """Delete the record of hardware that is gone."""
    connection.execute(_devices.delete().where(_devices.c.uuid == before.uuid))
    ledger.append(
        connection, [ledger.entry(before, GONE, actor, None, reason)]
    )
    return before.replace(
        status=fields.DeviceStatus.AVAILABLE,
        presence=fields.Presence.MISSING,
        conflict=None,
        disabled_reason=None,
        instance_uuid=None,
        request_id=None,
        pci_flavor_uuid=None,
        project_id=None,
    )


def _move(
    connection: sa.Connection,
    node_id: int,
    before: objects.PciDevice,
    moved_to: str,
    reason: str,
    actor: str,
) -> objects.PciDevice:
    address = _address(moved_to, before.resource_type)
    if address == before.address:
        raise exception.Invalid(
            f'{_name(before)} is in conflict at {address}: name the address '
            'at which its hardware is now, or say that it is gone'
        )
    here = lookup.select(
        connection,
        _devices.c.compute_node_id == node_id,
        _devices.c.address == address,
    )
    values = {'address': address, 'conflict': None}
    for occupant in here:
        _check_may_be(before, occupant)
        facts = occupant.reported()
        # What the host cannot read is still true of the hardware.
        values |= {
            name: value
            for name, value in facts.items()
            if value is not None or name not in identity.FIELDS
        } | {'presence': occupant.presence}
    begun = preparation.moved(before, before.replace(**values))
    values |= preparing.Fence(connection, node_id).added_to(begun)
    after = moving.moved(before, **values)
    connection.execute(
        _devices.delete().where(_devices.c.uuid.in_([before.uuid, after.uuid]))
    )
    moving.insert(connection, node_id, [after])
    ledger.append(
        connection,
        moving.events(moving.Move(before, after), ACTION, actor, reason),
    )
    return lookup.find(connection, after.uuid)


def _check_may_be(
    device: objects.PciDevice, occupant: objects.PciDevice
) -> None:
    """Check that the device at another address may be the displaced one.

    :raises: DeviceStateConflict, Invalid
    """
    if not occupant.is_fresh or occupant.conflict is not None:
        raise exception.DeviceStateConflict(
            _name(occupant),
            f'{ACTION} to it',
            occupant.state,
            (fields.DeviceStatus.AVAILABLE,),
            'resolve that conflict first, if it is the next one in a row'
            if occupant.conflict is not None
            else None,
        )
    mine, there = map(identity.Identity.of, (device, occupant))
    if mine.contradicts(there):
        raise exception.Invalid(
            f'{_name(device)} is {mine.in_words}, but {there.in_words} is at '
            f'{occupant.address}'
        )


def _address(text: str, resource_type: str) -> str:
    try:
        return fields.normalized_address(text, resource_type)
    except ValueError as error:
        raise exception.Invalid(str(error)) from error


def _name(device: objects.PciDevice) -> str:
    return f'{device.host}/{device.address}'
