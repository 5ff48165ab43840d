# SPDX-License-Identifier: Apache-2.0
"""Reading PCI flavors: all, or some by UUID or name."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import models

_flavors = models.pci_flavors
_access = models.pci_flavor_access


#: With more PCI flavors, the whole access table is read: databases plan long
#: IN lists badly.
_MOST_IN_LIST = 500


@database.retried
def get_all(
    db: database.Reader,
    project_id: str | None = None,
    origin: str | None = None,
) -> list[objects.PciFlavor]:
    """Return PCI flavors, sorted by name.

    :param project_id: only those that this project may use; None means all.
    :param origin: only those of this origin; None means all but built-in ones
        that nobody has switched on.
    """
    with db.read() as connection:
        flavors = _select(connection, _is_visible())
    return [
        flavor
        for flavor in flavors
        if flavor.visible_to(project_id)
        and (
            not flavor.is_unused if origin is None else flavor.origin == origin
        )
    ]


@database.retried
def get(
    db: database.Reader, name: str, project_id: str | None = None
) -> objects.PciFlavor:
    """Return a PCI flavor by UUID or name.

    :param project_id: the project that asks; None means the operator.
    :raises: PciFlavorNotFound, also if the project may not use it.
    """
    with db.read() as connection:
        return find(connection, [name], project_id)[name]


@database.retried
def names(
    db: database.Reader, flavor_uuids: Collection[str]
) -> dict[str, str]:
    """Return names of PCI flavors by UUID, also of deleted ones in use."""
    if not flavor_uuids:
        return {}
    statement = sa.select(_flavors.c.uuid, _flavors.c.name).where(
        _flavors.c.uuid.in_(sorted(flavor_uuids))
    )
    with db.read() as connection:
        return {uuid: name for uuid, name in connection.execute(statement)}


def find(
    connection: sa.Connection,
    names: Collection[str],
    project_id: str | None,
) -> dict[str, objects.PciFlavor]:
    """Return PCI flavors by the given UUIDs or names.

    :param project_id: the project that asks; None means the operator.
    :raises: PciFlavorNotFound, also if the project may not use one.
    """
    possible = sorted(filter(database.is_storable, names))
    flavors = _select(
        connection,
        _is_visible(),
        sa.or_(_flavors.c.uuid.in_(possible), _flavors.c.name.in_(possible)),
    )
    by_name = {f.uuid: f for f in flavors} | {f.name: f for f in flavors}
    for name in sorted(names):
        if name not in by_name or not by_name[name].visible_to(project_id):
            raise exception.PciFlavorNotFound(name)
    return by_name


def by_uuid(connection: sa.Connection, flavor_uuid: str) -> objects.PciFlavor:
    """Return a PCI flavor by its UUID.

    :raises: PciFlavorNotFound
    """
    flavors = _select(
        connection, _is_visible(), _flavors.c.uuid == flavor_uuid
    )
    if not flavors:
        raise exception.PciFlavorNotFound(flavor_uuid)
    return flavors[0]


def _is_visible() -> sa.ColumnElement[bool]:
    return _flavors.c.deleted_at.is_(None)


def _select(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> list[objects.PciFlavor]:
    rows = (
        connection.execute(
            sa.select(_flavors).where(*conditions).order_by(_flavors.c.name)
        )
        .mappings()
        .all()
    )
    projects: dict[int, list[str]] = {}
    if rows:
        statement = sa.select(_access).order_by(_access.c.project_id)
        if len(rows) <= _MOST_IN_LIST:
            statement = statement.where(
                _access.c.pci_flavor_id.in_([row['id'] for row in rows])
            )
        for flavor_id, project_id in connection.execute(statement):
            projects.setdefault(flavor_id, []).append(project_id)
    return [_flavor(row, projects.get(row['id'], [])) for row in rows]


def _flavor(row: Any, access: list[str]) -> objects.PciFlavor:
    values = {
        name: row[name] for name in objects.PciFlavor.fields if name in row
    }
    # oslo.db writes an empty object for None.
    values['aggregate_metadata'] = row['aggregate_metadata'] or None
    return objects.PciFlavor(access=access, **values)


def check_known(connection: sa.Connection, flavor_uuid: str) -> None:
    """Check that devices can be recorded as held by a PCI flavor.

    A PCI flavor that was deleted while devices were held by it will do. The
    foreign key keeps the PCI flavor from being removed after this check.

    :raises: PciFlavorNotFound
    """
    row = connection.execute(
        sa.select(_flavors.c.id).where(_flavors.c.uuid == flavor_uuid)
    ).first()
    if row is None:
        raise exception.PciFlavorNotFound(flavor_uuid)
