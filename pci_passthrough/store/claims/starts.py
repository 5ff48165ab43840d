# SPDX-License-Identifier: Apache-2.0
"""Failed and successful starts of guests with their devices.

A device counts a failed start when its instance gives it back, and only if
the last start of that guest failed: see ``reporting.preparation``.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.objects import lifecycle
from pci_passthrough.reporting import preparation
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup

_devices = models.pci_devices


@database.retried
def failed(
    db: database.Writer, host: str, instance_uuid: str, text: str, actor: str
) -> list[str]:
    """Record that libvirt could not start a guest with its devices.

    :param text: the error of libvirt. If it names addresses of some of the
        devices, the others are not to blame, for an earlier failure neither.
    :returns: the addresses of the devices that may be to blame.
    :raises: HostNotFound
    """
    words = text
    text = objects.recordable.output_line(text)
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        held = _held(connection, node_id, instance_uuid)
        named = [device for device in held if device.is_named_in(words)]
        devices = named or held
        cleared = [
            device.uuid
            for device in held
            if device not in devices and device.start_failed_for is not None
        ]
        if cleared:
            connection.execute(
                _devices.update()
                .where(_devices.c.uuid.in_(cleared))
                .values(start_failed_for=None)
            )
        news = [
            device
            for device in devices
            if (device.start_failed_for, device.start_failure)
            != (instance_uuid, text)
        ]
        if news:
            connection.execute(
                _devices.update()
                .where(_devices.c.uuid.in_([device.uuid for device in news]))
                .values(start_failed_for=instance_uuid, start_failure=text)
            )
            _append(connection, news, 'start-failed', actor, text)
        return [str(device.address) for device in devices]


@database.retried
def succeeded(
    db: database.Writer, host: str, instance_uuid: str, actor: str
) -> None:
    """Record that the guest of an instance runs: its devices are good.

    :raises: HostNotFound
    """
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        doubted = [
            device
            for device in _held(connection, node_id, instance_uuid)
            if device.failed_starts or device.start_failed_for is not None
        ]
        if doubted:
            connection.execute(
                _devices.update()
                .where(
                    _devices.c.uuid.in_([device.uuid for device in doubted])
                )
                .values(**preparation.NO_FAILED_STARTS)
            )
            text = 'the guest runs; failed starts do not count any more'
            _append(connection, doubted, 'started', actor, text)


def _held(
    connection: sa.Connection, node_id: int, instance_uuid: str
) -> list[objects.PciDevice]:
    return lookup.select(
        connection,
        _devices.c.compute_node_id == node_id,
        _devices.c.instance_uuid == instance_uuid,
        _devices.c.status.in_(lifecycle.OWNED),
    )


def _append(
    connection: sa.Connection,
    devices: Sequence[objects.PciDevice],
    action: str,
    actor: str,
    reason: str,
) -> None:
    ledger.append(
        connection,
        [
            ledger.entry(device, action, actor, device.state, reason)
            for device in devices
        ],
    )
