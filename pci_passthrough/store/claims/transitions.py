# SPDX-License-Identifier: Apache-2.0
"""Allocating, aborting and freeing what an instance has claimed.

Each operation is one transaction on one host (``free`` may have several),
serialized per host by ``hosts.lock``, and safe to repeat.
"""

from collections.abc import Collection
from collections.abc import Sequence
import datetime

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import lifecycle
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import removal
from pci_passthrough.store.devices import withheld

_devices = models.pci_devices


def allocate(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Turn an instance's claims on a host into allocations.

    :param request_ids: only claims for these requests; None means for all.
    :returns: the allocated devices, also those that were allocated before.
    :raises: ClaimMismatch if the instance holds none; HostNotFound.
    """
    request_spec.check_owner(instance_uuid)
    moved = _move(db, 'allocate', host, instance_uuid, actor, request_ids)
    if not moved:
        raise exception.ClaimMismatch(
            instance_uuid, f'none on {host} for what is to be allocated'
        )
    return moved


def abort(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Return devices that are claimed and not allocated, if there are any.

    :returns: the devices that are free now.
    """
    request_spec.check_owner(instance_uuid)
    return _give_back(db, 'abort', host, instance_uuid, actor, request_ids)


def free(
    db: database.Writer,
    instance_uuid: str,
    actor: str,
    host: str | None = None,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Return all devices that an instance holds, if there are any.

    :param host: only devices of this host; None means of all.
    :returns: the devices that are free now.
    """
    request_spec.check_owner(instance_uuid)
    if host is not None:
        return _give_back(db, 'free', host, instance_uuid, actor, request_ids)
    freed = []
    held = lookup.get_all(db, instance_uuid=instance_uuid)
    for name in sorted({device.host for device in held}):
        freed += _give_back(
            db, 'free', name, instance_uuid, actor, request_ids
        )
    return freed


def _give_back(
    db: database.Writer,
    action: str,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None,
) -> list[objects.PciDevice]:
    try:
        return _move(db, action, host, instance_uuid, actor, request_ids)
    except exception.HostNotFound:
        return []


@database.retried
def _move(
    db: database.Writer,
    action: str,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None,
) -> list[objects.PciDevice]:
    transition = lifecycle.TRANSITIONS[action]
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        conditions = [
            _devices.c.compute_node_id == node_id,
            _devices.c.instance_uuid == instance_uuid,
            _devices.c.status.in_((*transition.sources, transition.target)),
        ]
        if request_ids is not None:
            conditions.append(_devices.c.request_id.in_(sorted(request_ids)))
        held = lookup.select(connection, *conditions)
        changing = [d for d in held if d.status in transition.sources]
        at = database.now()
        after = {d.uuid: d for d in held} | {
            d.uuid: _after(d, transition.target, at) for d in changing
        }
        if changing:
            _write(connection, changing, transition.target, at)
            ledger.append(
                connection,
                [
                    ledger.entry(d, action, actor, after[d.uuid].state)
                    for d in changing
                ],
            )
            removal.remove_unoffered(
                connection, [after[d.uuid] for d in changing], actor
            )
            if transition.target not in lifecycle.OWNED:
                withheld.renew(connection, node_id, actor)
                hosts.ask_for_report(connection, node_id)
        return [after[d.uuid] for d in held]


def _write(
    connection: sa.Connection,
    devices: Sequence[objects.PciDevice],
    status: str,
    at: datetime.datetime,
) -> None:
    values = {'status': status, 'updated_at': at}
    if status not in lifecycle.OWNED:
        values |= dict.fromkeys(_OWNER_COLUMNS)
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid.in_([device.uuid for device in devices]))
        .values(values)
    )


_OWNER_COLUMNS = ('instance_uuid', 'request_id', 'pci_flavor_uuid')


def _after(
    device: objects.PciDevice, status: str, at: datetime.datetime
) -> objects.PciDevice:
    if status not in lifecycle.OWNED:
        device = device.replace(**dict.fromkeys(_OWNER_COLUMNS))
    return device.replace(status=status, updated_at=at)
