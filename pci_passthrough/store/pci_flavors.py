# SPDX-License-Identifier: Apache-2.0
"""PCI flavors in the database."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_utils import uuidutils
import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.store import database
from pci_passthrough.store import models

_flavors = models.pci_flavors
_access = models.pci_flavor_access

#: What a caller may set.
_SETTABLE = frozenset(
    {
        'name',
        'description',
        'match',
        'vnic_type',
        'numa_policy',
        'is_public',
        'access',
        'state',
    }
)


@database.retried
def get_all(
    db: database.Database, project_id: str | None = None
) -> list[objects.PciFlavor]:
    """Return PCI flavors by name.

    :param project_id: only those which this project may use; None: all.
    """
    with db.read() as connection:
        found = _select(connection)
    return [flavor for flavor in found if flavor.visible_to(project_id)]


@database.retried
def get(
    db: database.Database, name: str, project_id: str | None = None
) -> objects.PciFlavor:
    """Return a PCI flavor by UUID or name.

    :param project_id: the asking project; None: the operator.
    :raises: PciFlavorNotFound, also if the project may not use it.
    """
    with db.read() as connection:
        return find(connection, [name], project_id)[name]


def create(
    db: database.Database, name: str, project_id: str | None, **values: Any
) -> objects.PciFlavor:
    """Add a PCI flavor.

    :param project_id: the owner; None: the operator.
    :param values: ``match`` and, if wanted, the other settable fields.
    :raises: InvalidPciFlavor, PciFlavorExists
    """
    flavor = objects.PciFlavor(
        uuid=uuidutils.generate_uuid(),
        project_id=project_id,
        generation=1,
        created_at=None,
        updated_at=None,
        description=None,
        vnic_type=None,
        numa_policy=None,
        is_public=True,
        access=[],
        state=fields.PciFlavorState.ACTIVE,
    )
    return _create(db, _changed(flavor, {'name': name, **values}))


@database.retried
def _create(
    db: database.Database, flavor: objects.PciFlavor
) -> objects.PciFlavor:
    with db.write() as connection:
        taken = _by_name(connection, [flavor.name]).get(flavor.name)
        if taken is not None and taken.uuid != flavor.uuid:
            raise exception.PciFlavorExists(flavor.name)
        if taken is None:
            connection.execute(
                _flavors.insert().values(
                    created_at=database.now(), **_columns(flavor)
                )
            )
            _share(connection, flavor)
        return _by_name(connection, [flavor.name])[flavor.name]


def update(
    db: database.Database,
    name: str,
    changes: Mapping[str, Any],
    generation: int | None = None,
) -> objects.PciFlavor:
    """Change a PCI flavor.

    :param name: UUID or name.
    :param changes: new values of settable fields.
    :param generation: on which the changes are based; None: whatever it is.
    :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorExists,
        InvalidPciFlavor
    """
    # By its UUID: repeated after a lost answer, it may have another name.
    return _update(db, get(db, name).uuid, changes, generation)


@database.retried
def _update(
    db: database.Database,
    flavor_uuid: str,
    changes: Mapping[str, Any],
    generation: int | None,
) -> objects.PciFlavor:
    with db.write() as connection:
        before = find(connection, [flavor_uuid], None)[flavor_uuid]
        after = _changed(before, changes)
        if _columns(after) == _columns(before) and set(after.access) == set(
            before.access
        ):
            return before
        if generation not in (None, before.generation):
            raise exception.PciFlavorChanged(before.name)
        taken = _by_name(connection, [after.name]).get(after.name)
        if taken is not None and taken.uuid != before.uuid:
            raise exception.PciFlavorExists(after.name)
        written = connection.execute(
            _flavors.update()
            .where(
                _flavors.c.uuid == before.uuid,
                _flavors.c.generation == before.generation,
            )
            .values(
                **_columns(after.replace(generation=before.generation + 1)),
                updated_at=database.now(),
            )
        )
        if not written.rowcount:
            raise exception.PciFlavorChanged(before.name)
        if after.name != before.name:
            # Nova asks again, by name, when it moves an instance.
            _must_not_be_held(connection, before)
        _share(connection, after)
        return _by_name(connection, [after.name])[after.name]


def delete(db: database.Database, name: str) -> None:
    """Delete a PCI flavor that nothing holds devices by.

    :raises: PciFlavorNotFound, PciFlavorInUse
    """
    # By its UUID: repeated after a lost answer, it must not delete another
    # one that has just been given the name.
    _delete(db, get(db, name))


@database.retried
def _delete(db: database.Database, flavor: objects.PciFlavor) -> None:
    with db.write() as connection:
        _must_not_be_held(connection, flavor)
        # A claim that is faster makes the foreign key fail; the repetition
        # then finds the holder.
        connection.execute(
            _flavors.delete().where(_flavors.c.uuid == flavor.uuid)
        )


def _must_not_be_held(
    connection: sa.Connection, flavor: objects.PciFlavor
) -> None:
    devices = models.pci_devices
    holders = connection.execute(
        sa.select(sa.func.count()).where(
            devices.c.pci_flavor_uuid == flavor.uuid
        )
    ).scalar_one()
    if holders:
        raise exception.PciFlavorInUse(flavor.name, holders)


def must_exist(connection: sa.Connection, names: Mapping[str, str]) -> None:
    """Name a PCI flavor that was deleted since it was resolved.

    That none is deleted from now on is the foreign key's business.

    :param names: UUID to name.
    :raises: PciFlavorNotFound
    """
    found = connection.execute(
        sa.select(_flavors.c.uuid).where(_flavors.c.uuid.in_(sorted(names)))
    ).scalars()
    for missing in sorted(names.keys() - set(found)):
        raise exception.PciFlavorNotFound(names[missing])


def _changed(
    flavor: objects.PciFlavor, changes: Mapping[str, Any]
) -> objects.PciFlavor:
    """Return a PCI flavor with new values, all of them checked."""
    for field, value in changes.items():
        if field not in _SETTABLE:
            raise exception.InvalidPciFlavor(
                field, 'it cannot be set', ', '.join(sorted(_SETTABLE))
            )
        try:
            flavor = flavor.replace(**{field: value})
        except ValueError as error:
            example = {
                'match': '[{"vendor_id": "8086", "e.group": "10g"}]',
                'vnic_type': 'one of ' + ', '.join(fields.VnicType.ALL),
                'numa_policy': 'one of ' + ', '.join(fields.NumaPolicy.ALL),
                'state': 'one of ' + ', '.join(fields.PciFlavorState.ALL),
            }.get(field, "a value of the field's type")
            raise exception.InvalidPciFlavor(
                field, str(error), example
            ) from error
    if '\0' in (flavor.description or ''):
        raise exception.InvalidPciFlavor(
            'description', 'a NUL character cannot be kept', 'a GPU of 80 GiB'
        )
    owner = [] if flavor.project_id is None else [flavor.project_id]
    for key, projects in (('access', flavor.access), ('project_id', owner)):
        for project_id in projects:
            _check_project(key, project_id)
    pci_flavor_spec.validate_name(flavor.name)
    pci_flavor_spec.MatchExpression.parse(flavor.match)
    return flavor


def _check_project(key: str, project_id: str) -> None:
    if (
        not 1 <= len(project_id) <= 255
        or not project_id.isprintable()
        or project_id != project_id.strip()
    ):
        raise exception.InvalidPciFlavor(
            key,
            f'{project_id!r} is not the id of a project: it has to have 1 '
            'to 255 printable characters, none of them a blank at an end',
            'd7a1c0e2f3b44a5f9e6b8c7d6e5f4a3b',
        )


def find(
    connection: sa.Connection,
    names: Collection[str],
    project_id: str | None,
) -> dict[str, objects.PciFlavor]:
    """Return PCI flavors by the UUID or name that was asked for.

    :param project_id: the asking project; None: the operator.
    :raises: PciFlavorNotFound, also if the project may not use one.
    """
    # PostgreSQL refuses even to look for what it could not hold.
    possible = sorted(name for name in names if name.isprintable())
    found = _select(
        connection,
        sa.or_(_flavors.c.uuid.in_(possible), _flavors.c.name.in_(possible)),
    )
    by_name = {f.uuid: f for f in found} | {f.name: f for f in found}
    for name in sorted(names):
        if name not in by_name or not by_name[name].visible_to(project_id):
            raise exception.PciFlavorNotFound(name)
    return by_name


def _by_name(
    connection: sa.Connection, names: Sequence[str]
) -> dict[str, objects.PciFlavor]:
    found = _select(connection, _flavors.c.name.in_(names))
    return {flavor.name: flavor for flavor in found}


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
        if conditions:
            statement = statement.where(
                _access.c.pci_flavor_id.in_([row['id'] for row in rows])
            )
        for flavor_id, project_id in connection.execute(statement).tuples():
            shared.setdefault(flavor_id, []).append(project_id)
    return [_flavor(row, shared.get(row['id'], [])) for row in rows]


def _share(connection: sa.Connection, flavor: objects.PciFlavor) -> None:
    """Make the list of projects that may use a PCI flavor what it says."""
    flavor_id = connection.execute(
        sa.select(_flavors.c.id).where(_flavors.c.uuid == flavor.uuid)
    ).scalar_one()
    connection.execute(
        _access.delete().where(_access.c.pci_flavor_id == flavor_id)
    )
    projects = [
        {'pci_flavor_id': flavor_id, 'project_id': project_id}
        for project_id in sorted(set(flavor.access))
    ]
    if projects:
        connection.execute(_access.insert(), projects)


def _columns(flavor: objects.PciFlavor) -> dict[str, Any]:
    return {
        name: getattr(flavor, name)
        for name in objects.PciFlavor.fields
        if name not in ('access', 'created_at', 'updated_at')
    }


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
