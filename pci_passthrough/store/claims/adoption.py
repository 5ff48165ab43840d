# SPDX-License-Identifier: Apache-2.0
"""Adoption: recording that an instance has devices already.

Unlike in a claim, nothing is chosen. The instance got its devices without
this database, for example by Nova's own ``[pci] device_spec``, or the record
was lost.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.reporting import preparation
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import exclusion
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import resolving
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup

_devices = models.pci_devices
_ACTION = 'adopt'

#: Statuses of a physical or virtual function that prevent an adoption. Not
#: ``cleaning``: handlers wait for the instance, not the other way round.
_EXCLUDING = tuple(
    status
    for status in exclusion.HELD
    if status != fields.DeviceStatus.CLEANING
)


@database.retried
def adopt(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    request_id: str,
    addresses: Collection[str],
    actor: str,
    pci_flavor_uuid: str | None = None,
    project_id: str | None = None,
) -> list[objects.PciDevice]:
    """Record that devices of a host are allocated to an instance, all or none.

    Free devices are adopted even if they are disabled or no PCI flavor
    matches them. Devices that the instance holds already become allocated for
    this request. Repeating an adoption changes nothing.

    :param request_id: the request of the instance that the devices serve.
    :param addresses: the devices' addresses.
    :param actor: who acts, for the ledger.
    :param pci_flavor_uuid: the PCI flavor by which the instance got them;
        None means unknown, and leaves a recorded one as it is.
    :param project_id: the instance's project; None likewise.
    :returns: the devices, sorted by address.
    :raises: InvalidRequest; HostNotFound; PciDeviceNotFound;
        PciFlavorNotFound; ClaimContended; DeviceStateConflict, naming the
        holder, if a device is not free, or a physical or virtual function
        that excludes it.
    """
    wanted = _normalized(instance_uuid, request_id, addresses)
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        on_host = _devices.c.compute_node_id == node_id
        devices = lookup.select(
            connection, on_host, _devices.c.address.in_(wanted)
        )
        for address in wanted:
            _check_not_ended(connection, host, address, instance_uuid)
        _check_complete(host, wanted, devices)
        if pci_flavor_uuid is not None:
            flavor_lookup.check_known(connection, pci_flavor_uuid)
        for device in devices:
            _check_free(device, instance_uuid)
        new = [d for d in devices if d.instance_uuid is None]
        _check_exclusion(connection, on_host, new)
        owner = {'instance_uuid': instance_uuid, 'request_id': request_id}
        if pci_flavor_uuid is not None:
            owner['pci_flavor_uuid'] = pci_flavor_uuid
        if project_id is not None:
            owner['project_id'] = project_id
        changing = [d for d in devices if not _is_recorded(d, owner)]
        if changing:
            _write(connection, changing, owner, actor)
        return lookup.select(
            connection, on_host, _devices.c.address.in_(wanted)
        )


@database.retried
def set_pci_flavor(
    db: database.Writer,
    device: objects.PciDevice,
    pci_flavor_uuid: str,
    actor: str,
) -> bool:
    """Record the PCI flavor of a device that is held by none.

    :param device: the device as it was read, allocated to an instance.
    :param pci_flavor_uuid: the PCI flavor that the instance's request names.
    :param actor: who acts, for the ledger.
    :returns: False, and nothing has changed, if it is not allocated to the
        same request any more, or has a PCI flavor already.
    :raises: HostNotFound; PciFlavorNotFound
    """
    owner = {
        'instance_uuid': str(device.instance_uuid),
        'request_id': str(device.request_id),
        'pci_flavor_uuid': pci_flavor_uuid,
    }
    with db.write() as connection:
        hosts.lock(connection, device.host)
        flavor_lookup.check_known(connection, pci_flavor_uuid)
        held = lookup.select(
            connection,
            _devices.c.uuid == device.uuid,
            _devices.c.instance_uuid == owner['instance_uuid'],
            _devices.c.request_id == owner['request_id'],
            _devices.c.status == fields.DeviceStatus.ALLOCATED,
            _devices.c.pci_flavor_uuid.is_(None),
        )
        if held:
            _write(connection, held, owner, actor)
    return bool(held)


def _normalized(
    instance_uuid: str, request_id: str, addresses: Collection[str]
) -> list[str]:
    """Check the arguments of an adoption; return the addresses as stored.

    :raises: InvalidRequest
    """
    request_spec.check_owner(instance_uuid)
    request_spec.check_id(request_id, f'adoption of {sorted(addresses)}')
    address = objects.fields.DeviceAddressField()
    try:
        wanted = {
            str(address.coerce(None, 'address', text)) for text in addresses
        }
    except ValueError as error:
        raise exception.InvalidRequest(
            ', '.join(map(str, addresses)), str(error)
        ) from error
    if not wanted:
        raise exception.InvalidRequest('', 'it names no device')
    return sorted(wanted)


def _check_not_ended(
    connection: sa.Connection, host: str, address: str, instance_uuid: str
) -> None:
    """Check that no operator has ended this holding: the hardware is gone.

    Otherwise the instance would get what is at the address now.

    :raises: DeviceStateConflict
    """
    events = models.pci_device_events
    last = connection.execute(
        sa.select(events.c.action)
        .where(
            events.c.device_uuid == lookup.uuid_of(host, address),
            events.c.instance_uuid == instance_uuid,
            events.c.action.not_in(fields.Repair.ALL),
        )
        .order_by(events.c.id.desc())
        .limit(1)
    ).scalar()
    if last == resolving.GONE:
        raise exception.DeviceStateConflict(
            f'{host}/{address}',
            _ACTION,
            fields.HOLDING_ENDED,
            (fields.DeviceStatus.AVAILABLE,),
            f'instance {instance_uuid} had other hardware, which is gone',
        )


def _check_complete(
    host: str, wanted: Sequence[str], devices: Sequence[objects.PciDevice]
) -> None:
    missing = set(wanted).difference(device.address for device in devices)
    if missing:
        raise exception.PciDeviceNotFound(f'{host}/{min(missing)}')


def _check_free(device: objects.PciDevice, instance_uuid: str) -> None:
    """Check that a device is the instance's, or can be adopted by it."""
    if device.instance_uuid == instance_uuid:
        return
    if device.instance_uuid is None:
        lifecycle.check_allowed(device, _ACTION)
        return
    raise exception.DeviceStateConflict(
        f'{device.host}/{device.address}',
        _ACTION,
        f'{device.status} to instance {device.instance_uuid}',
        (fields.DeviceStatus.AVAILABLE,),
    )


def _check_exclusion(
    connection: sa.Connection,
    on_host: sa.ColumnElement[bool],
    new: Sequence[objects.PciDevice],
) -> None:
    """Check that no related function of a new device is held or new, too."""
    if not new:
        return
    parents = {d.parent_addr for d in new if d.parent_addr is not None}
    new_addresses = {device.address for device in new}
    related = lookup.select(
        connection,
        on_host,
        _devices.c.address.in_(sorted(parents))
        | _devices.c.parent_addr.in_(sorted(new_addresses)),
        _devices.c.status.in_(_EXCLUDING)
        | _devices.c.address.in_(sorted(new_addresses)),
    )
    for other in related:
        for device in new:
            if device.address == other.parent_addr or (
                device.parent_addr == other.address
            ):
                holder = other.instance_uuid or 'nobody'
                if other.address in new_addresses:
                    holder = 'the same adoption'
                raise exception.DeviceStateConflict(
                    f'{device.host}/{device.address}',
                    _ACTION,
                    f'excluded by {other.address} ({other.state}, {holder})',
                    (fields.DeviceStatus.AVAILABLE,),
                )


def _is_recorded(device: objects.PciDevice, owner: Mapping[str, str]) -> bool:
    return device.status == fields.DeviceStatus.ALLOCATED and all(
        device.get(name) == value for name, value in owner.items()
    )


def _write(
    connection: sa.Connection,
    devices: Sequence[objects.PciDevice],
    owner: Mapping[str, str],
    actor: str,
) -> None:
    """Write owner and ledger, unless a device got another owner meanwhile.

    The host's lock should prevent that; the condition ensures it.

    :raises: ClaimContended
    """
    target = fields.DeviceStatus.ALLOCATED
    updated = connection.execute(
        _devices.update()
        .where(
            _devices.c.uuid.in_([device.uuid for device in devices]),
            _devices.c.instance_uuid.is_(None)
            | (_devices.c.instance_uuid == owner['instance_uuid']),
        )
        .values(
            status=target,
            updated_at=database.now(),
            **owner,
            **preparation.NOTHING_DUE,
        )
    )
    if updated.rowcount != len(devices):
        raise exception.ClaimContended(
            f'{", ".join(lookup.addresses(devices))}: another claim was faster'
        )
    ledger.append(
        connection,
        [
            ledger.entry(
                device,
                _ACTION,
                actor,
                (after := device.replace(status=target, **owner)).state,
                f'request {owner["request_id"]}',
                owner['instance_uuid'],
                after,
            )
            for device in devices
        ],
    )
