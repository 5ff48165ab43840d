# SPDX-License-Identifier: Apache-2.0
"""Reading PCI flavors."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import models

_flavors = models.pci_flavors
_access = models.pci_flavor_access


#: Above this, all that is shared is read: a long list plans badly.
_MOST_NAMED = 500


@database.retried
def get_all(
    db: database.Reader, project_id: str | None = None
) -> list[objects.PciFlavor]:
    """Return PCI flavors by name.

    :param project_id: only those which this project may use; None: all.
    """
    with db.read() as connection:
        found = _select(connection, _is_visible())
    return [flavor for flavor in found if flavor.visible_to(project_id)]


@database.retried
def get(
    db: database.Reader, name: str, project_id: str | None = None
) -> objects.PciFlavor:
    """Return a PCI flavor by UUID or name.

    :param project_id: the asking project; None: the operator.
    :raises: PciFlavorNotFound, also if the project may not use it.
    """
    with db.read() as connection:
        return find(connection, [name], project_id)[name]


def find(
    connection: sa.Connection,
    names: Collection[str],
    project_id: str | None,
) -> dict[str, objects.PciFlavor]:
    """Return PCI flavors by the UUID or name that was asked for.

    :param project_id: the asking project; None: the operator.
    :raises: PciFlavorNotFound, also if the project may not use one.
    """
    possible = sorted(filter(database.could_be_kept, names))
    found = _select(
        connection,
        _is_visible(),
        sa.or_(_flavors.c.uuid.in_(possible), _flavors.c.name.in_(possible)),
    )
    by_name = {f.uuid: f for f in found} | {f.name: f for f in found}
    for name in sorted(names):
        if name not in by_name or not by_name[name].visible_to(project_id):
            raise exception.PciFlavorNotFound(name)
    return by_name


def by_uuid(connection: sa.Connection, flavor_uuid: str) -> objects.PciFlavor:
    found = _select(connection, _is_visible(), _flavors.c.uuid == flavor_uuid)
    if not found:
        raise exception.PciFlavorNotFound(flavor_uuid)
    return found[0]


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
    shared: dict[int, list[str]] = {}
    if rows:
        statement = sa.select(_access).order_by(_access.c.project_id)
        if len(rows) <= _MOST_NAMED:
            statement = statement.where(
                _access.c.pci_flavor_id.in_([row['id'] for row in rows])
            )
        for flavor_id, project_id in connection.execute(statement).tuples():
            shared.setdefault(flavor_id, []).append(project_id)
    return [_flavor(row, shared.get(row['id'], [])) for row in rows]


def _flavor(row: Any, access: list[str]) -> objects.PciFlavor:
    flavor = objects.PciFlavor(
        access=access,
        **{
            name: row[name]
            for name in objects.PciFlavor.fields
            if name != 'access'
        },
    )
    return flavor


def check_known(connection: sa.Connection, flavor_uuid: str) -> None:
    """Check that devices can be noted as held by a PCI flavor.

    One that was deleted while it was in use still is known. That it does not
    go from now on is the foreign key's business.

    :raises: PciFlavorNotFound
    """
    found = connection.execute(
        sa.select(_flavors.c.id).where(_flavors.c.uuid == flavor_uuid)
    ).first()
    if found is None:
        raise exception.PciFlavorNotFound(flavor_uuid)
