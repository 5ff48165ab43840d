# SPDX-License-Identifier: Apache-2.0
"""Deleting devices that their host does not offer and nobody holds."""

from collections.abc import Iterable

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.objects import fields
from pci_passthrough.store import ledger
from pci_passthrough.store import models

_devices = models.pci_devices


def remove_unoffered(
    connection: sa.Connection,
    devices: Iterable[objects.PciDevice],
    actor: str,
) -> None:
    """Delete devices that are not offered any more and need not be kept.

    To be called for devices that have just been freed, in the transaction
    that freed them.

    :param devices: the devices in their state after that.
    """
    gone = [
        device
        for device in devices
        if device.presence != fields.Presence.OFFERED
        and not reporting.must_be_kept(device)
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
