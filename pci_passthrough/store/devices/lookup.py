# SPDX-License-Identifier: Apache-2.0
"""Reading devices: all, one, or those that meet conditions."""

from collections.abc import Sequence
from typing import Any
import uuid

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog

_devices = models.pci_devices

#: A device's UUID is derived from host and address: a device that comes back
#: continues its history.
_UUID_NAMESPACE = uuid.UUID('5d3cf01c-6a3b-4f0e-9c5d-0d9f0a4b7d11')

#: Fields of the object that are columns of ``pci_devices`` by the same name.
COLUMNS = tuple(
    name
    for name in objects.PciDevice.fields
    if name in _devices.c and name != 'dev_type'
)

#: Columns of lists that are NULL in rows of earlier releases.
_LISTS = ('handlers', 'failed_instances')


def uuid_of(host: str, address: str) -> str:
    """Return the UUID of the device at an address of a host."""
    return str(uuid.uuid5(_UUID_NAMESPACE, f'{host}/{address}'))


@database.retried
def get_all(
    db: database.Reader,
    host: str | None = None,
    instance_uuid: str | None = None,
    state: str | None = None,
) -> list[objects.PciDevice]:
    """Return devices that fit all filters, sorted by host and address."""
    conditions: list[sa.ColumnElement[bool]] = []
    if host is not None:
        conditions.append(models.compute_nodes.c.host == host)
    if instance_uuid is not None:
        conditions.append(_devices.c.instance_uuid == instance_uuid)
    with db.read() as connection:
        devices = select(connection, *conditions)
    return [d for d in devices if state is None or d.state == state]


@database.retried
def get(db: database.Reader, device: str) -> objects.PciDevice:
    """Return a device by UUID or by ``host/address``.

    :raises: PciDeviceNotFound
    """
    with db.read() as connection:
        return find(connection, device)


@database.retried
def given_out(db: database.Reader, host: str) -> list[str]:
    """Return the addresses of a host's devices that instances have had.

    The ledger tells. A device that appeared or was replaced after it was
    given out is other hardware, or may be.
    """
    if not database.is_storable(host):
        return []
    events = models.pci_device_events
    given, new = (
        sa.func.max(sa.case((events.c.action.in_(actions), events.c.id)))
        for actions in (_GIVEN_OUT, _NEW)
    )
    statement = (
        sa.select(_devices.c.address)
        .join(
            models.compute_nodes,
            models.compute_nodes.c.id == _devices.c.compute_node_id,
        )
        .join(events, events.c.device_uuid == _devices.c.uuid)
        .where(models.compute_nodes.c.host == host)
        .group_by(_devices.c.address)
        .having(given.is_not(None), sa.or_(new.is_(None), given > new))
        .order_by(_devices.c.address)
    )
    with db.read() as connection:
        return list(connection.scalars(statement))


#: Actions of the ledger: an instance gets the device; there is a new one.
_GIVEN_OUT = ('claim', 'adopt', 'move')
_NEW = ('appear', 'refuse', 'replaced')


def select(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> list[objects.PciDevice]:
    """Return devices that fulfil conditions, in the caller's transaction."""
    nodes = models.compute_nodes
    keys = models.pool_keys
    statement = (
        sa.select(
            _devices,
            nodes.c.host,
            *(keys.c[name] for name in _KEY_COLUMNS),
        )
        .join(nodes, nodes.c.id == _devices.c.compute_node_id)
        .join(keys, keys.c.id == _devices.c.pool_key_id)
        .where(*conditions)
        .order_by(nodes.c.host, _devices.c.address)
    )
    return [_device(row) for row in connection.execute(statement).mappings()]


_KEY_COLUMNS = (*objects.POOL_FIELDS, 'extra_info')


def find(connection: sa.Connection, device: str) -> objects.PciDevice:
    """Return a device by UUID or by ``host/address``.

    :raises: PciDeviceNotFound
    """
    if not database.is_storable(device):
        raise exception.PciDeviceNotFound(device)
    wanted = uuid_of(*device.rsplit('/', 1)) if '/' in device else device
    devices = select(connection, _devices.c.uuid == wanted)
    if not devices:
        raise exception.PciDeviceNotFound(device)
    return devices[0]


def _device(row: Any) -> objects.PciDevice:
    key = pool_catalog.pool_key(row)
    device = objects.PciDevice(
        host=row['host'],
        extra_info=dict(key.extra_info),
        **{name: getattr(key, name) for name in objects.POOL_FIELDS},
        **{name: row[name] for name in COLUMNS if name not in _LISTS},
        **{name: row[name] or [] for name in _LISTS},
    )
    return device


def addresses(devices: Sequence[objects.PciDevice]) -> list[str]:
    """Return ``host/address`` of devices, for messages."""
    return [f'{device.host}/{device.address}' for device in devices]
