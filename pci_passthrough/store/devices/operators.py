# SPDX-License-Identifier: Apache-2.0
"""What operators do to devices: disable, enable, quarantine, release."""

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import removal

_devices = models.pci_devices


def disable(
    db: database.Writer, device: str, reason: str, actor: str
) -> objects.PciDevice:
    """Take a device out of service.

    Whoever holds it keeps it; it is not given away again.

    :raises: PciDeviceNotFound; DeviceStateConflict if it is disabled for
        another reason; Invalid if the reason cannot be kept.
    """
    return _set_disabled(db, device, 'disable', reason, reason, actor)


def enable(
    db: database.Writer, device: str, reason: str, actor: str
) -> objects.PciDevice:
    """Put a device that was disabled back into service.

    :raises: PciDeviceNotFound; Invalid if the reason cannot be kept.
    """
    return _set_disabled(db, device, 'enable', None, reason, actor)


def act(
    db: database.Writer, device: str, action: str, reason: str, actor: str
) -> objects.PciDevice:
    """Do what an operator wants done to a device.

    :param device: UUID or ``host/address``.
    :param action: one of ``lifecycle.OPERATOR_ACTIONS``.
    :param reason: why, one line; may be empty for some actions.
    :param actor: for the ledger.
    :raises: PciDeviceNotFound; DeviceStateConflict; Invalid if there is no
        such action, or the reason is missing or cannot be kept.
    """
    if action not in lifecycle.OPERATOR_ACTIONS:
        raise exception.Invalid(
            f'{action!r} is nothing that can be done to a PCI device; '
            f'possible: {", ".join(lifecycle.OPERATOR_ACTIONS)}'
        )
    if action in lifecycle.ACTIONS_WITH_REASON and not reason.strip():
        raise exception.Invalid(
            f'to {action} a PCI device takes a reason, for the next operator; '
            'for example: ECC errors, replacement is ordered'
        )
    if not database.could_be_kept(actor):
        raise exception.Invalid(f'{actor!r} names nobody')
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
    _check_reason(reason)
    with db.write() as connection:
        before = _lock(connection, device)
        if disabled_reason == before.disabled_reason:
            return before
        if None not in (disabled_reason, before.disabled_reason):
            # One operator's words are not another's to overwrite.
            raise exception.DeviceStateConflict(
                f'{before.uuid} ({before.address} on {before.host})',
                action,
                'disabled',
                ('enabled',),
                before.disabled_reason,
            )
        after = before.replace(disabled_reason=disabled_reason)
        return _write(connection, before, after, action, actor, reason or None)


@database.retried
def move(
    db: database.Writer, device: str, action: str, reason: str, actor: str
) -> objects.PciDevice:
    """Carry out an operator's ``quarantine`` or ``release``.

    A device that is there already stays as it is.

    :raises: DeviceStateConflict; PciDeviceNotFound; Invalid if the reason
        cannot be kept.
    """
    _check_reason(reason)
    with db.write() as connection:
        before = _lock(connection, device)
        if before.status == lifecycle.TRANSITIONS[action].target:
            return before
        after = before.replace(status=lifecycle.target_of(before, action))
        return _write(connection, before, after, action, actor, reason or None)


#: Longest reason: that of ``disabled_reason``.
_MAX_REASON = 255


def _check_reason(reason: str | None) -> None:
    if reason is not None and (
        len(reason) > _MAX_REASON or not reason.isprintable()
    ):
        raise exception.Invalid(
            f'a reason is one line of up to {_MAX_REASON} printable '
            f'characters, not {reason!r}'
        )


def _lock(connection: sa.Connection, device: str) -> objects.PciDevice:
    """Lock a device's host; return the device as it is then."""
    hosts.lock(connection, lookup.find(connection, device).host)
    return lookup.find(connection, device)


def _write(
    connection: sa.Connection,
    before: objects.PciDevice,
    after: objects.PciDevice,
    action: str,
    actor: str,
    reason: str | None,
) -> objects.PciDevice:
    at = database.now()
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid == before.uuid)
        .values(
            status=after.status,
            disabled_reason=after.disabled_reason,
            updated_at=at,
        )
    )
    ledger.append(
        connection, [ledger.entry(before, action, actor, after.state, reason)]
    )
    removal.remove_left(connection, [after], actor)
    return after.replace(updated_at=at)
