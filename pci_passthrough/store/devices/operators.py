# SPDX-License-Identifier: Apache-2.0
"""Operators' actions on devices: disable, quarantine, clean and the others."""

import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.reporting import preparation
from pci_passthrough.reporting import withholding
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import removal
from pci_passthrough.store.devices import withheld

_devices = models.pci_devices


def disable(
    db: database.Writer, device: str, reason: str, actor: str
) -> objects.PciDevice:
    """Take a device out of service.

    An instance that holds it keeps it; nobody else can claim it.

    :raises: PciDeviceNotFound; DeviceStateConflict if it is disabled for
        another reason; Invalid if the reason cannot be stored.
    """
    return _set_disabled(db, device, 'disable', reason, reason, actor)


def enable(
    db: database.Writer, device: str, reason: str, actor: str
) -> objects.PciDevice:
    """Put a disabled device back into service.

    :raises: PciDeviceNotFound; Invalid if the reason cannot be stored.
    """
    return _set_disabled(db, device, 'enable', None, reason, actor)


def act(
    db: database.Writer, device: str, action: str, reason: str, actor: str
) -> objects.PciDevice:
    """Carry out an operator's action on a device.

    :param device: UUID or ``host/address``.
    :param action: one of ``lifecycle.OPERATOR_ACTIONS``.
    :param reason: one line of explanation; some actions need none.
    :param actor: who acts, for the ledger.
    :raises: PciDeviceNotFound; DeviceStateConflict; Invalid if there is no
        such action, or the reason is missing or cannot be stored.
    """
    if action not in lifecycle.OPERATOR_ACTIONS:
        raise exception.Invalid(
            f'{action!r} is not an action on PCI devices; '
            f'possible: {", ".join(lifecycle.OPERATOR_ACTIONS)}'
        )
    if action in lifecycle.ACTIONS_WITH_REASON and not reason.strip():
        raise exception.Invalid(
            f'to {action} a PCI device takes a reason, for the next operator; '
            'for example: ECC errors, replacement is ordered'
        )
    check_actor(actor)
    if action == 'disable':
        return disable(db, device, reason, actor)
    if action == 'enable':
        return enable(db, device, reason, actor)
    return move(db, device, action, reason, actor)


@database.retried
def _set_disabled(
    db: database.Writer,
    device: str,
    action: str,
    disabled_reason: str | None,
    reason: str,
    actor: str,
) -> objects.PciDevice:
    check_reason(reason)
    if withholding.is_withheld(disabled_reason):
        raise exception.Invalid(
            f'{disabled_reason!r} is how this service names the conflict of '
            'another device; word the reason differently'
        )
    with db.write() as connection:
        node_id, before = lock(connection, device)
        if disabled_reason == before.disabled_reason:
            return before
        if disabled_reason is None and withholding.is_withheld(
            before.disabled_reason
        ):
            raise exception.DeviceStateConflict(
                f'{before.uuid} ({before.address} on {before.host})',
                action,
                'disabled',
                ('available',),
                before.disabled_reason,
            )
        if None not in (disabled_reason, before.disabled_reason):
            # An operator must not overwrite another's reason.
            raise exception.DeviceStateConflict(
                f'{before.uuid} ({before.address} on {before.host})',
                action,
                'disabled',
                ('enabled',),
                before.disabled_reason,
            )
        values = {'disabled_reason': disabled_reason}
        return _write(
            connection, node_id, before, values, action, actor, reason or None
        )


@database.retried
def move(
    db: database.Writer, device: str, action: str, reason: str, actor: str
) -> objects.PciDevice:
    """Carry out an operator's ``quarantine``, ``clean`` or ``release``.

    A device that is in the wanted state already stays as it is.

    :raises: DeviceStateConflict; PciDeviceNotFound; Invalid if the reason
        cannot be stored or is missing, or the device has no handlers.
    """
    check_reason(reason)
    with db.write() as connection:
        node_id, before = lock(connection, device)
        is_set_up = (
            before.status == fields.DeviceStatus.CLEANING
            and before.preparation_step == fields.PreparationStep.SETUP
        )
        if (
            before.status in lifecycle.TRANSITIONS[action].targets
            and not is_set_up
        ):
            return before
        lifecycle.check_allowed(before, action)
        values = _CHANGES[action](before, reason)
        values = preparing.Fence(connection, node_id).added_to(values)
        return _write(
            connection, node_id, before, values, action, actor, reason or None
        )


def _quarantined(device: objects.PciDevice, reason: str) -> dict[str, Any]:
    return preparation.quarantine(reason or None)


def _to_clean(device: objects.PciDevice, reason: str) -> dict[str, Any]:
    """Return the changes of a device that an operator wants to be cleaned.

    :raises: Invalid, DeviceStateConflict
    """
    if not device.handlers:
        raise exception.Invalid(
            f'{device.host}/{device.address} has no handlers that could clean '
            'it; the "handler" of its entry in pci_information names them'
        )
    if device.conflict is not None:
        raise exception.DeviceStateConflict(
            f'{device.uuid} ({device.address} on {device.host})',
            'clean',
            device.state,
            lifecycle.TRANSITIONS['clean'].sources,
            device.conflict,
        )
    return preparation.begin(fields.PreparationStep.CLEAN)


#: An agent asks far more often whether it may go on, and ends its handlers.
_LONGEST_SILENCE: Final = datetime.timedelta(minutes=5)


def _released(device: objects.PciDevice, reason: str) -> dict[str, Any]:
    """Return the changes of a device that an operator answers for.

    :raises: DeviceStateConflict if its handlers may still run; Invalid if it
        was not prepared, and there is no reason to do without.
    """
    changed = device.updated_at
    is_silent = (
        changed is not None
        and database.now() - changed.replace(tzinfo=None) > _LONGEST_SILENCE
    )
    if device.preparation_running is not None and not (
        reason.strip() and is_silent
    ):
        raise exception.DeviceStateConflict(
            f'{device.uuid} ({device.address} on {device.host})',
            'release',
            'being prepared',
            lifecycle.TRANSITIONS['release'].sources,
            "the host's agent has not reported the end; if that agent was "
            'stopped, release it with a reason after '
            f'{_LONGEST_SILENCE.seconds // 60} minutes, or have it cleaned',
        )
    if device.preparation_step is not None and not reason.strip():
        raise exception.Invalid(
            f'{device.host}/{device.address} was not prepared for another '
            'instance: have it cleaned, or give a reason why it can be given '
            'away as it is; for example: erased by hand'
        )
    return preparation.ready() | preparation.NO_FAILED_STARTS


_CHANGES: Final = {
    'quarantine': _quarantined,
    'clean': _to_clean,
    'release': _released,
}


#: Characters of a reason: the length of the column ``disabled_reason``.
_MAX_REASON = 255


def check_reason(reason: str | None) -> None:
    """Check that a reason can be stored.

    :raises: Invalid
    """
    if reason is not None and not objects.recordable.is_line(
        reason, _MAX_REASON
    ):
        raise exception.Invalid(
            f'a reason is one line of up to {_MAX_REASON} printable '
            f'characters, not {reason!r}'
        )


def check_actor(actor: str) -> None:
    """Check that an actor's name can be stored.

    :raises: Invalid
    """
    if not database.is_storable(actor):
        raise exception.Invalid(f'{actor!r} is not a valid name of an actor')


def lock(
    connection: sa.Connection, device: str
) -> tuple[int, objects.PciDevice]:
    """Lock a device's host.

    :returns: the host's id, and the device as it is under the lock.
    """
    node_id = hosts.lock(connection, lookup.find(connection, device).host)
    return node_id, lookup.find(connection, device)


def _write(
    connection: sa.Connection,
    node_id: int,
    before: objects.PciDevice,
    values: dict[str, Any],
    action: str,
    actor: str,
    reason: str | None,
) -> objects.PciDevice:
    values = {**values, 'updated_at': database.now()}
    after = before.replace(**values)
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid == before.uuid)
        .values(**values)
    )
    ledger.append(
        connection, [ledger.entry(before, action, actor, after.state, reason)]
    )
    removal.remove_unoffered(connection, [after], actor)
    reasons = withheld.renew(connection, node_id, actor)
    return after.replace(
        disabled_reason=reasons.get(after.address, after.disabled_reason),
    )
