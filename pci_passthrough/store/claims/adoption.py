# SPDX-License-Identifier: Apache-2.0
"""Recording that an instance has devices already.

Not a claim: nothing is chosen. A guest was given the devices before this
database knew of it, for example by Nova's own ``[pci] device_spec``, or the
record was lost.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import exclusion
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup

_devices = models.pci_devices
_ACTION = 'adopt'


@database.retried
def adopt(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    request_id: str,
    addresses: Collection[str],
    actor: str,
    pci_flavor_uuid: str | None = None,
) -> list[objects.PciDevice]:
    """Make devices of a host allocated to an instance, all or none.

    Devices that are free are taken, also disabled ones and whatever PCI
    flavor they fit. What the instance holds already becomes allocated for
    this request. Repeated, it changes nothing.

    :param request_id: which of the instance's requests they serve.
    :param addresses: of the devices.
    :param actor: for the ledger.
    :param pci_flavor_uuid: for which they were given; None: unknown, and
        what is known stays.
    :returns: the devices, by address.
    :raises: InvalidRequest; HostNotFound; PciDeviceNotFound;
        PciFlavorNotFound; DeviceStateConflict, naming the holder, if a device
        or, because they exclude each other, its physical function or one of
        its virtual functions is another's or not free; ClaimContended.
    """
    wanted = _check(instance_uuid, request_id, addresses)
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        on_host = _devices.c.compute_node_id == node_id
        found = lookup.select(
            connection, on_host, _devices.c.address.in_(wanted)
        )
        _must_all_be_there(host, wanted, found)
        if pci_flavor_uuid is not None:
            flavor_lookup.check_known(connection, pci_flavor_uuid)
        for device in found:
            _check_free(device, instance_uuid)
        new = [d for d in found if d.instance_uuid is None]
        _check_kin(connection, on_host, new)
        owner = {'instance_uuid': instance_uuid, 'request_id': request_id}
        if pci_flavor_uuid is not None:
            owner['pci_flavor_uuid'] = pci_flavor_uuid
        todo = [d for d in found if not _is_done(d, owner)]
        if todo:
            _write(connection, todo, owner, actor)
        return lookup.select(
            connection, on_host, _devices.c.address.in_(wanted)
        )


def _check(
    instance_uuid: str, request_id: str, addresses: Collection[str]
) -> list[str]:
    """Return the addresses as they are kept.

    :raises: InvalidRequest
    """
    request_spec.check_owner(instance_uuid)
    request_spec.check_id(request_id, f'adoption of {sorted(addresses)}')
    address = objects.fields.PciAddressField()
    try:
        wanted = {
            str(address.coerce(None, 'address', one)) for one in addresses
        }
    except ValueError as error:
        raise exception.InvalidRequest(
            ', '.join(map(str, addresses)), str(error)
        ) from error
    if not wanted:
        raise exception.InvalidRequest('', 'it names no device')
    return sorted(wanted)


def _must_all_be_there(
    host: str, wanted: Sequence[str], found: Sequence[objects.PciDevice]
) -> None:
    missing = set(wanted).difference(device.address for device in found)
    if missing:
        raise exception.PciDeviceNotFound(f'{host}/{min(missing)}')


def _check_free(device: objects.PciDevice, instance_uuid: str) -> None:
    """Refuse a device that is another's, or locked away."""
    if device.instance_uuid == instance_uuid:
        return
    if device.instance_uuid is None:
        lifecycle.target_of(device, _ACTION)
        return
    raise exception.DeviceStateConflict(
        f'{device.host}/{device.address}',
        _ACTION,
        f'{device.status} to instance {device.instance_uuid}',
        (fields.DeviceStatus.AVAILABLE,),
    )


def _check_kin(
    connection: sa.Connection,
    on_host: sa.ColumnElement[bool],
    new: Sequence[objects.PciDevice],
) -> None:
    """Refuse a physical function beside one of its virtual functions."""
    if not new:
        return
    parents = {d.parent_addr for d in new if d.parent_addr is not None}
    taken = {device.address: device for device in new}
    kin = lookup.select(
        connection,
        on_host,
        _devices.c.address.in_(sorted(parents))
        | _devices.c.parent_addr.in_(sorted(taken)),
        _devices.c.status.in_(exclusion.HELD)
        | _devices.c.address.in_(sorted(taken)),
    )
    for other in kin:
        for device in new:
            if device.address == other.parent_addr or (
                device.parent_addr == other.address
            ):
                whose = other.instance_uuid or 'nobody'
                if other.address in taken:
                    whose = 'the same adoption'
                raise exception.DeviceStateConflict(
                    f'{device.host}/{device.address}',
                    _ACTION,
                    f'excluded by {other.address} ({other.state}, {whose})',
                    (fields.DeviceStatus.AVAILABLE,),
                )


def _is_done(device: objects.PciDevice, owner: Mapping[str, str]) -> bool:
    return device.status == lifecycle.TRANSITIONS[_ACTION].target and all(
        device.get(name) == value for name, value in owner.items()
    )


def _write(
    connection: sa.Connection,
    todo: Sequence[objects.PciDevice],
    owner: Mapping[str, str],
    actor: str,
) -> None:
    """Write owner and ledger.

    The host's lock keeps everybody else away; the condition makes sure.
    """
    target = lifecycle.TRANSITIONS[_ACTION].target
    updated = connection.execute(
        _devices.update()
        .where(
            _devices.c.uuid.in_([device.uuid for device in todo]),
            _devices.c.instance_uuid.is_(None)
            | (_devices.c.instance_uuid == owner['instance_uuid']),
        )
        .values(status=target, updated_at=database.now(), **owner)
    )
    if updated.rowcount != len(todo):
        raise exception.ClaimContended(
            f'{", ".join(lookup.addresses(todo))}: somebody else was faster'
        )
    ledger.append(
        connection,
        [
            ledger.entry(
                device,
                _ACTION,
                actor,
                device.replace(status=target).state,
                f'request {owner["request_id"]}',
                owner['instance_uuid'],
            )
            for device in todo
        ],
    )
