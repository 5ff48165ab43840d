# SPDX-License-Identifier: Apache-2.0
"""Removing devices that their host does not offer and nobody holds."""

from collections.abc import Iterable

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import ledger
from pci_passthrough.store import models

_devices = models.pci_devices


def remove_left(
    connection: sa.Connection,
    left: Iterable[objects.PciDevice],
    actor: str,
) -> None:
    """Delete devices that nobody has to remember and the host has not.

    To be called, in the same transaction, for devices that have just become
    nobody's.

    :param left: the devices as they are now.
    """
    gone = [
        device
        for device in left
        if device.presence != fields.Presence.OFFERED
        and device.status == fields.DeviceStatus.AVAILABLE
        and device.disabled_reason is None
    ]
    if not gone:
        return
    connection.execute(
        _devices.delete().where(_devices.c.uuid.in_([d.uuid for d in gone]))
    )
    ledger.append(
        connection,
        [
            ledger.entry(device, 'remove', actor, None, 'not on the host')
            for device in gone
        ],
    )
