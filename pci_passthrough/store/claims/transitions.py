# SPDX-License-Identifier: Apache-2.0
"""Allocating, aborting and freeing what an instance has claimed.

Each operation is one transaction on one host (``free`` may have several),
serialized per host by ``hosts.lock``, and safe to repeat.
"""

from collections.abc import Collection
from collections.abc import Mapping
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.reporting import preparation
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import removal
from pci_passthrough.store.devices import withheld

_devices = models.pci_devices

_BOUNDS: Final = preparation.Bounds()


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
    bounds: preparation.Bounds = _BOUNDS,
) -> list[objects.PciDevice]:
    """Return devices that are claimed and not allocated, if there are any.

    :param bounds: how often guests may fail to start with a device.
    :returns: the devices that are held no more.
    """
    request_spec.check_owner(instance_uuid)
    return _give_back(
        db, 'abort', host, instance_uuid, actor, request_ids, bounds
    )


def free(
    db: database.Writer,
    instance_uuid: str,
    actor: str,
    host: str | None = None,
    request_ids: Collection[str] | None = None,
    bounds: preparation.Bounds = _BOUNDS,
) -> list[objects.PciDevice]:
    """Return all devices that an instance holds, if there are any.

    Devices without handlers are available at once; the others when their
    host's agent has cleaned them.

    :param host: only devices of this host; None means of all.
    :param bounds: how often guests may fail to start with a device.
    :returns: the devices that are held no more.
    """
    request_spec.check_owner(instance_uuid)
    if host is not None:
        hosts_held = [host]
    else:
        held = lookup.get_all(db, instance_uuid=instance_uuid)
        hosts_held = sorted({str(device.host) for device in held})
    return [
        device
        for name in hosts_held
        for device in _give_back(
            db, 'free', name, instance_uuid, actor, request_ids, bounds
        )
    ]


def _give_back(
    db: database.Writer,
    action: str,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None,
    bounds: preparation.Bounds,
) -> list[objects.PciDevice]:
    try:
        return _move(
            db, action, host, instance_uuid, actor, request_ids, bounds
        )
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
    bounds: preparation.Bounds = _BOUNDS,
) -> list[objects.PciDevice]:
    transition = lifecycle.TRANSITIONS[action]
    is_end = fields.DeviceStatus.AVAILABLE in transition.targets
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        conditions = [
            _devices.c.compute_node_id == node_id,
            _devices.c.instance_uuid == instance_uuid,
            _devices.c.status.in_((*transition.sources, *transition.targets)),
        ]
        if request_ids is not None:
            conditions.append(_devices.c.request_id.in_(sorted(request_ids)))
        held = lookup.select(connection, *conditions)
        changing = [d for d in held if d.status in transition.sources]
        fence = preparing.Fence(connection, node_id)
        values = {
            device.uuid: fence.added_to(
                preparation.given_back(device, bounds) | _NO_OWNER
                if is_end
                else {'status': fields.DeviceStatus.ALLOCATED}
            )
            for device in changing
        }
        at = database.now()
        after = {d.uuid: d for d in held} | {
            d.uuid: d.replace(updated_at=at, **values[d.uuid])
            for d in changing
        }
        if changing:
            _write(connection, values, at)
            ledger.append(
                connection,
                [_event(d, action, actor, after[d.uuid]) for d in changing],
            )
            removal.remove_unoffered(
                connection, [after[d.uuid] for d in changing], actor
            )
            if is_end:
                withheld.renew(connection, node_id, actor)
                hosts.ask_for_report(connection, node_id)
        return [after[d.uuid] for d in held]


_NO_OWNER: Final = dict.fromkeys(
    ('instance_uuid', 'request_id', 'pci_flavor_uuid', 'project_id')
)


def _event(
    before: objects.PciDevice,
    action: str,
    actor: str,
    after: objects.PciDevice,
) -> dict[str, Any]:
    reason = None
    if after.status == fields.DeviceStatus.QUARANTINED:
        reason = str(after.quarantine_reason)
    elif after.failed_starts > before.failed_starts:
        reason = f'its guest could not be started: {before.start_failure}'
    return ledger.entry(
        before, action, actor, after.state, reason, after=after
    )


def _write(
    connection: sa.Connection,
    values: Mapping[str, Mapping[str, Any]],
    at: datetime.datetime,
) -> None:
    """Write changes of devices, by one UPDATE for all that change alike.

    :param values: the changed fields of each device, by its UUID.
    """
    alike: list[tuple[Mapping[str, Any], list[str]]] = []
    for uuid, changed in values.items():
        for others, uuids in alike:
            if others == changed:
                uuids.append(uuid)
                break
        else:
            alike.append((changed, [uuid]))
    for changed, uuids in alike:
        connection.execute(
            _devices.update()
            .where(_devices.c.uuid.in_(uuids))
            .values(updated_at=at, **changed)
        )
