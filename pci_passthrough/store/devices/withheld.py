# SPDX-License-Identifier: Apache-2.0
"""Devices that nobody gets while another device of the host is in conflict."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.reporting import withholding
from pci_passthrough.store import database
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup

_devices = models.pci_devices


def renew(
    connection: sa.Connection,
    node_id: int,
    actor: str,
    appeared: Collection[str] = (),
    recognized: Collection[str] = (),
) -> Mapping[str, str | None]:
    """Withhold devices of a host, and put back those that need not be.

    To be called in each transaction that has freed or enabled devices of a
    host, has reported them, or has resolved a conflict.

    :param actor: who acts, for the ledger.
    :param appeared: see ``withholding.reasons``, as ``recognized``.
    :returns: the new disabled reasons, by address.
    """
    on_host = _devices.c.compute_node_id == node_id
    is_held = _devices.c.status != fields.DeviceStatus.AVAILABLE
    is_cause = (
        _devices.c.conflict.is_not(None)
        | _devices.c.disabled_reason.startswith(withholding.PREFIX)
        | (is_held & (_devices.c.presence == fields.Presence.MISSING))
    )
    if recognized:
        is_cause |= is_held & _devices.c.serial_number.is_not(None)
    any_cause = sa.select(_devices.c.id).where(on_host, is_cause).limit(1)
    if connection.execute(any_cause).first() is None:
        return {}
    devices = lookup.select(connection, on_host)
    reasons = withholding.reasons(devices, appeared, recognized)
    ledger.append(
        connection,
        [
            _change(connection, device, reasons[device.address], actor)
            for device in devices
            if device.address in reasons
        ],
    )
    return reasons


def _change(
    connection: sa.Connection,
    device: objects.PciDevice,
    reason: str | None,
    actor: str,
) -> dict[str, Any]:
    """Write the disabled reason of a device; return the ledger's row."""
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid == device.uuid)
        .values(disabled_reason=reason, updated_at=database.now())
    )
    return ledger.entry(
        device,
        'disable' if reason else 'enable',
        actor,
        device.replace(disabled_reason=reason).state,
        reason or f'no more {device.disabled_reason}',
    )
