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

_devices = models.pci_devices


def allocate(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Turn an instance's claims on a host into allocations.

    :param request_ids: only of these requests; None: of all.
    :returns: the allocated devices, those too that were it before.
    :raises: ClaimMismatch if it holds none; HostNotFound.
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
    """Give back what is claimed and not allocated; nothing is fine.

    :returns: the devices given back.
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
    """Give back all that an instance holds; nothing is fine.

    :param host: only on this host; None: on all.
    :returns: the devices given back.
    """
    request_spec.check_owner(instance_uuid)
    if host is not None:
        return _give_back(db, 'free', host, instance_uuid, actor, request_ids)
    freed = []
    for name in sorted(
        {d.host for d in lookup.get_all(db, instance_uuid=instance_uuid)}
    ):
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
        todo = [d for d in held if d.status in transition.sources]
        at = database.now()
        after = {d.uuid: d for d in held} | {
            d.uuid: _after(d, transition.target, at) for d in todo
        }
        if todo:
            _write(connection, todo, transition.target, at)
            ledger.append(
                connection,
                [
                    ledger.entry(d, action, actor, after[d.uuid].state)
                    for d in todo
                ],
            )
            removal.remove_unoffered(
                connection, [after[d.uuid] for d in todo], actor
            )
            if transition.target not in lifecycle.OWNED:
                hosts.ask_for_report(connection, node_id)
        return [after[d.uuid] for d in held]


def _write(
    connection: sa.Connection,
    todo: Sequence[objects.PciDevice],
    status: str,
    at: datetime.datetime,
) -> None:
    values = {'status': status, 'updated_at': at}
    if status not in lifecycle.OWNED:
        values |= dict.fromkeys(_OWNER_COLUMNS)
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid.in_([device.uuid for device in todo]))
        .values(values)
    )


_OWNER_COLUMNS = ('instance_uuid', 'request_id', 'pci_flavor_uuid')


def _after(
    device: objects.PciDevice, status: str, at: datetime.datetime
) -> objects.PciDevice:
    if status not in lifecycle.OWNED:
        device = device.replace(**dict.fromkeys(_OWNER_COLUMNS))
    return device.replace(status=status, updated_at=at)
