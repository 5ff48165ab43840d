# SPDX-License-Identifier: Apache-2.0
"""Creating, changing, sharing and deleting PCI flavors."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.pci_flavors import holders
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.pci_flavors import validation

_flavors = models.pci_flavors
_access = models.pci_flavor_access


def create(
    db: database.Writer, name: str, project_id: str | None, **values: Any
) -> objects.PciFlavor:
    """Add a PCI flavor.

    :param project_id: the owner; None means the operator.
    :param values: ``match`` and any other settable fields.
    :raises: InvalidPciFlavor, PciFlavorExists
    """
    return add(db, validation.new(name, project_id, values))


@database.retried
def add(db: database.Writer, flavor: objects.PciFlavor) -> objects.PciFlavor:
    """Store a PCI flavor that ``validation.new`` returned.

    :raises: PciFlavorExists
    """
    with db.write() as connection:
        _remove_deleted(connection)
        _check_name_free(connection, flavor.name, flavor.uuid)
        # When repeated after a lost answer, it may have been added already.
        if not _exists(connection, flavor.uuid):
            connection.execute(
                _flavors.insert().values(
                    created_at=database.now(), **_columns(flavor)
                )
            )
            _share(connection, flavor)
        return lookup.by_uuid(connection, flavor.uuid)


def update(
    db: database.Writer,
    name: str,
    changes: Mapping[str, Any],
    generation: int | None = None,
    force: bool = False,
) -> objects.PciFlavor:
    """Change a PCI flavor.

    :param name: UUID or name.
    :param changes: new values of settable fields.
    :param generation: the generation that the changes are based on; None
        means any.
    :param force: allow a match expression that no longer matches a device
        that is held by the PCI flavor. A rename is refused all the same.
    :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorExists,
        InvalidPciFlavor, PciFlavorInUse
    """
    validation.check_generation(generation)
    # By UUID: when repeated after a lost answer, the name may have changed.
    return _update(db, lookup.get(db, name).uuid, changes, generation, force)


@database.retried
def _update(
    db: database.Writer,
    flavor_uuid: str,
    changes: Mapping[str, Any],
    generation: int | None,
    force: bool,
) -> objects.PciFlavor:
    with db.write() as connection:
        _remove_deleted(connection)
        before = _lock(connection, flavor_uuid)
        after = validation.changed(before, changes)
        if _is_same(before, after):
            return before
        if generation not in (None, before.generation):
            raise exception.PciFlavorChanged(before.name)
        check_change(connection, before, after, force)
        return _write(connection, before, after)


def check_change(
    connection: sa.Connection,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
    force: bool = False,
) -> None:
    """Check a change against other PCI flavors and against held devices.

    :param before: None means that the PCI flavor is created.
    :param after: None means that the PCI flavor is deleted.
    :raises: PciFlavorExists, PciFlavorInUse, PciFlavorBuiltIn
    """
    if before is None:
        if after is not None:
            _check_name_free(connection, after.name, after.uuid)
        return
    if after is None:
        _check_made(before)
        if not force:
            _check_unused(before, holders.count(connection, before.uuid))
        return
    if after.name != before.name:
        _check_name_free(connection, after.name, before.uuid)
        # Nova resolves the name again when it moves an instance.
        _check_unused(before, holders.count(connection, before.uuid))
    if after.match != before.match and not force:
        _check_unused(
            before,
            holders.count_stranded(
                connection, before.uuid, before.match, after.match
            ),
        )


def share(
    db: database.Writer,
    name: str,
    project_id: str,
    shared: bool,
    generation: int | None = None,
) -> objects.PciFlavor:
    """Give a project access to a PCI flavor that is not public, or end it.

    :param name: UUID or name.
    :param shared: False ends the project's access.
    :param generation: the generation that is meant; None means any.
    :raises: PciFlavorNotFound, PciFlavorChanged, InvalidPciFlavor
    """
    validation.check_project('access', project_id)
    validation.check_generation(generation)
    return _set_shared(
        db, lookup.get(db, name).uuid, project_id, shared, generation
    )


@database.retried
def _set_shared(
    db: database.Writer,
    flavor_uuid: str,
    project_id: str,
    shared: bool,
    generation: int | None,
) -> objects.PciFlavor:
    with db.write() as connection:
        before = _lock(connection, flavor_uuid)
        access = set(before.access) - {project_id}
        if shared:
            access.add(project_id)
        after = before.replace(access=sorted(access))
        if _is_same(before, after):
            return before
        if generation not in (None, before.generation):
            raise exception.PciFlavorChanged(before.name)
        return _write(connection, before, after)


def delete(
    db: database.Writer,
    name: str,
    generation: int | None = None,
    force: bool = False,
) -> int:
    """Delete a PCI flavor.

    With ``force``, instances keep the devices that they hold by it. Nobody
    can see or request the PCI flavor any more, and its name can be used again
    when the last of these devices is free.

    :param name: UUID or name.
    :param generation: the generation that is meant; None means any.
    :param force: delete the PCI flavor even if devices are held by it.
    :returns: how many devices are still held by it.
    :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorInUse,
        PciFlavorBuiltIn, InvalidPciFlavor
    """
    validation.check_generation(generation)
    # By UUID: when repeated after a lost answer, it must not delete another
    # PCI flavor that has just been given the name.
    return _delete(db, lookup.get(db, name), generation, force)


@database.retried
def _delete(
    db: database.Writer,
    flavor: objects.PciFlavor,
    generation: int | None,
    force: bool,
) -> int:
    with db.write() as connection:
        _remove_deleted(connection)
        try:
            current = _lock(connection, flavor.uuid)
        except exception.PciFlavorNotFound:
            return holders.count(connection, flavor.uuid).devices
        if generation not in (None, current.generation):
            raise exception.PciFlavorChanged(current.name)
        _check_made(current)
        held = holders.count(connection, current.uuid)
        if not force:
            _check_unused(current, held)
        is_flavor = _flavors.c.uuid == current.uuid
        if held.devices:
            connection.execute(
                _flavors.update()
                .where(is_flavor)
                .values(deleted_at=database.now())
            )
        else:
            # If a claim commits first after all, the foreign key makes this
            # fail, and the repetition counts the holder.
            connection.execute(_flavors.delete().where(is_flavor))
        return held.devices


def _check_made(flavor: objects.PciFlavor) -> None:
    """Check that a PCI flavor can be made again, so that it can be deleted.

    :raises: PciFlavorBuiltIn
    """
    if flavor.origin == fields.PciFlavorOrigin.BUILT_IN:
        raise exception.PciFlavorBuiltIn(flavor.name)


def _check_unused(flavor: objects.PciFlavor, held: holders.Holders) -> None:
    if held.devices:
        raise exception.PciFlavorInUse(
            flavor.name, held.devices, held.instances
        )


def _lock(connection: sa.Connection, flavor_uuid: str) -> objects.PciFlavor:
    """Lock a PCI flavor until the end of the transaction; return it.

    :raises: PciFlavorNotFound
    """
    holders.lock(connection, flavor_uuid)
    return lookup.by_uuid(connection, flavor_uuid)


def _exists(connection: sa.Connection, flavor_uuid: str) -> bool:
    statement = sa.select(_flavors.c.id).where(_flavors.c.uuid == flavor_uuid)
    return connection.execute(statement).first() is not None


def _check_name_free(
    connection: sa.Connection, name: str, flavor_uuid: str
) -> None:
    """Check that no PCI flavor but the one of this UUID has a name.

    :raises: PciFlavorExists
    """
    row = connection.execute(
        sa.select(
            _flavors.c.uuid, _flavors.c.deleted_at, _flavors.c.origin
        ).where(_flavors.c.name == name, _flavors.c.uuid != flavor_uuid)
    ).one_or_none()
    if row is None:
        return
    if row.deleted_at is None:
        raise exception.PciFlavorExists(name, origin=row.origin)
    held = holders.count(connection, row.uuid).devices
    # A dry run also sees deleted PCI flavors that a write would remove.
    if held:
        raise exception.PciFlavorExists(name, held)


def _is_same(before: objects.PciFlavor, after: objects.PciFlavor) -> bool:
    return _columns(after) == _columns(before) and set(after.access) == set(
        before.access
    )


def _write(
    connection: sa.Connection,
    before: objects.PciFlavor,
    after: objects.PciFlavor,
) -> objects.PciFlavor:
    """Write a change, unless the PCI flavor was changed meanwhile.

    The lock should prevent that; the condition on the generation ensures it.

    :raises: PciFlavorChanged
    """
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
    _share(connection, after)
    return lookup.by_uuid(connection, after.uuid)


def _share(connection: sa.Connection, flavor: objects.PciFlavor) -> None:
    """Replace the list of projects that may use a PCI flavor."""
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


def _remove_deleted(connection: sa.Connection) -> None:
    """Remove deleted PCI flavors by which no device is held any more.

    This makes their names usable again. Writes of PCI flavors call it, not
    the freeing of devices, which happens much more often.
    """
    is_held = (
        sa.select(models.pci_devices.c.id)
        .where(models.pci_devices.c.pci_flavor_uuid == _flavors.c.uuid)
        .exists()
    )
    # Selected first: a DELETE with a subquery locks the rows that it reads.
    gone = connection.execute(
        sa.select(_flavors.c.uuid).where(
            _flavors.c.deleted_at.is_not(None), ~is_held
        )
    ).scalars()
    if uuids := sorted(gone):
        connection.execute(
            _flavors.delete().where(
                _flavors.c.uuid.in_(uuids), _flavors.c.deleted_at.is_not(None)
            )
        )
