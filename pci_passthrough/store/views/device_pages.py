# SPDX-License-Identifier: Apache-2.0
"""Pages of devices, filtered and sorted by host and address."""

import dataclasses

from oslo_utils import uuidutils
import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import device_states
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup

_devices = models.pci_devices
_nodes = models.compute_nodes
_OF_HOST = _nodes.c.id == _devices.c.compute_node_id

#: Filters that are properties of pools, of ``PoolFilter``, too.
FILTERED = (
    'vendor_id',
    'product_id',
    'dev_type',
    'numa_node',
    'resource_type',
)


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Filters for devices. A filter that is None or empty excludes none.

    :ivar states: states of ``objects.PciDevice.state``.
    :ivar pci_flavor: name or UUID of a PCI flavor that matches the device.
    :ivar held_by: name or UUID of the PCI flavor by which the device is held;
        only the UUID if that was deleted meanwhile.
    """

    host: str | None = None
    states: tuple[str, ...] = ()
    instance_uuid: str | None = None
    pci_flavor: str | None = None
    held_by: str | None = None
    vendor_id: str | None = None
    product_id: str | None = None
    dev_type: str | None = None
    numa_node: int | None = None
    resource_type: str | None = None
    address: str | None = None


@database.retried
def page(
    db: database.Reader,
    filters: DeviceFilter,
    marker: str | None,
    limit: int,
) -> list[objects.PciDevice]:
    """Return devices that fit all filters, sorted by host and address.

    :param marker: UUID of the last device of the page before, which need not
        fit the filters; None means the first page.
    :param limit: how many devices at most.
    :raises: PciFlavorNotFound; Invalid if no device has the marker's UUID, or
        if the filters have an unknown state.
    """
    with db.read() as connection:
        conditions = _conditions(connection, db.catalog, filters)
        if marker is not None:
            conditions.append(_after(connection, marker))
        ids = connection.execute(
            sa.select(_devices.c.id)
            .join_from(_devices, _nodes, _OF_HOST)
            .where(*conditions)
            .order_by(_nodes.c.host, _devices.c.address)
            .limit(limit)
        ).scalars()
        # In one statement, MariaDB would sort all columns of all devices.
        return lookup.select(connection, _devices.c.id.in_(ids.all()))


def _conditions(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    filters: DeviceFilter,
) -> list[sa.ColumnElement[bool]]:
    conditions = []
    wanted: list[tuple[sa.Column[str], str | None]] = [
        (_nodes.c.host, filters.host),
        (_devices.c.instance_uuid, filters.instance_uuid),
        (_devices.c.address, filters.address),
    ]
    for column, value in wanted:
        if value is not None:
            conditions.append(_equals(column, value))
    if filters.states:
        conditions.append(_has_state(filters.states))
    if filters.held_by is not None:
        held_by = _flavor_uuid(connection, filters.held_by)
        conditions.append(_devices.c.pci_flavor_uuid == held_by)
    if key_ids := _key_ids(connection, catalog, filters):
        conditions.append(_devices.c.pool_key_id.in_(key_ids))
    elif key_ids is not None:
        conditions.append(sa.false())
    return conditions


def _equals(column: sa.Column[str], value: str) -> sa.ColumnElement[bool]:
    return column == value if database.is_storable(value) else sa.false()


def _has_state(states: tuple[str, ...]) -> sa.ColumnElement[bool]:
    """Return the condition for ``objects.PciDevice.state``."""
    for wanted in states:
        if wanted not in lifecycle.STATES:
            raise exception.Invalid(
                f'{wanted!r} is not a state of PCI devices; possible: '
                f'{", ".join(lifecycle.STATES)}'
            )
    return device_states.state().in_(states)


def _flavor_uuid(connection: sa.Connection, name: str) -> str:
    if uuidutils.is_uuid_like(name):
        return name
    return str(flavor_lookup.find(connection, [name], None)[name].uuid)


def _key_ids(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    filters: DeviceFilter,
) -> list[int] | None:
    """Return the pool keys that fit the filters; None if all fit.

    There are few pool keys, so they are filtered in memory.
    """
    wanted = {
        name: value
        for name in FILTERED
        if (value := getattr(filters, name)) is not None
    }
    if not wanted and filters.pci_flavor is None:
        return None
    return fitting_keys(connection, catalog, filters.pci_flavor, wanted)


def fitting_keys(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    pci_flavor: str | None,
    properties: dict[str, str | int],
) -> list[int]:
    """Return the ids of pool keys, in order.

    :param pci_flavor: only keys that this PCI flavor matches.
    :param properties: only keys with these values of ``POOL_FIELDS``.
    :raises: PciFlavorNotFound
    """
    catalog.refresh(connection)
    ids = catalog.ids()
    if pci_flavor is not None:
        flavor = flavor_lookup.find(connection, [pci_flavor], None)[pci_flavor]
        ids &= catalog.of_flavor(flavor)
    return [
        key_id
        for key_id in sorted(ids)
        if all(
            getattr(catalog[key_id], name) == value
            for name, value in properties.items()
        )
    ]


def _after(connection: sa.Connection, marker: str) -> sa.ColumnElement[bool]:
    statement = (
        sa.select(_nodes.c.host, _devices.c.address)
        .join_from(_devices, _nodes, _OF_HOST)
        .where(_devices.c.uuid == marker)
    )
    row = (
        connection.execute(statement).first()
        if database.is_storable(marker)
        else None
    )
    if row is None:
        raise exception.Invalid(
            f'there is no PCI device {marker!r} (any more) after which the '
            'list could go on; start again without a marker'
        )
    host, address = row
    return sa.or_(
        _nodes.c.host > host,
        (_nodes.c.host == host) & (_devices.c.address > address),
    )
