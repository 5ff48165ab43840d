# SPDX-License-Identifier: Apache-2.0
"""Creating, changing, sharing and deleting PCI flavors."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
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

    :param project_id: the owner; None: the operator.
    :param values: ``match`` and, if wanted, the other settable fields.
    :raises: InvalidPciFlavor, PciFlavorExists
    """
    return add(db, validation.new(name, project_id, values))


@database.retried
def add(db: database.Writer, flavor: objects.PciFlavor) -> objects.PciFlavor:
    """Keep what ``pci_flavor_values.new`` returned.

    :raises: PciFlavorExists
    """
    with db.write() as connection:
        _forget_deleted(connection)
        if not _is_there(connection, flavor.name, flavor.uuid):
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
    :param generation: on which the changes are based; None: whatever it is.
    :param force: also if it then does not match a device that is held by it.
    :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorExists,
        InvalidPciFlavor; PciFlavorInUse, to rename one even with ``force``.
    """
    validation.check_generation(generation)
    # By its UUID: repeated after a lost answer, it may have another name.
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
        _forget_deleted(connection)
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
    """Refuse a change for the sake of others.

    :param before: None: it is to be created.
    :param after: None: it is to be deleted.
    :raises: PciFlavorExists, PciFlavorInUse
    """
    if before is None:
        if after is not None:
            _is_there(connection, after.name, after.uuid)
        return
    if after is None:
        if not force:
            _must_not_hold(before, holders.count(connection, before.uuid))
        return
    if after.name != before.name:
        _is_there(connection, after.name, before.uuid)
        # Nova asks again, by name, when it moves an instance.
        _must_not_hold(before, holders.count(connection, before.uuid))
    if after.match != before.match and not force:
        _must_not_hold(
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
    """Let a project use a PCI flavor that is not public, or no longer.

    If it is so already, nothing changes.

    :param name: UUID or name.
    :param shared: False: it may not use it by this any longer.
    :param generation: the one that is meant; None: whatever it is.
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

    One that is in use is there for nobody afterwards, while what is held by
    it stays held, and its name stays taken until nothing is.

    :param name: UUID or name.
    :param generation: the one that is meant; None: whatever it is.
    :param force: also if something holds devices by it.
    :returns: how many devices are still held by it.
    :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorInUse,
        InvalidPciFlavor
    """
    validation.check_generation(generation)
    # By its UUID: repeated after a lost answer, it must not delete another
    # one that has just been given the name.
    return _delete(db, lookup.get(db, name), generation, force)


@database.retried
def _delete(
    db: database.Writer,
    flavor: objects.PciFlavor,
    generation: int | None,
    force: bool,
) -> int:
    with db.write() as connection:
        _forget_deleted(connection)
        try:
            found = _lock(connection, flavor.uuid)
        except exception.PciFlavorNotFound:
            return holders.count(connection, flavor.uuid).devices
        if generation not in (None, found.generation):
            raise exception.PciFlavorChanged(found.name)
        held = holders.count(connection, found.uuid)
        if not force:
            _must_not_hold(found, held)
        this = _flavors.c.uuid == found.uuid
        if held.devices:
            connection.execute(
                _flavors.update().where(this).values(deleted_at=database.now())
            )
        else:
            # Should a claim be faster all the same, the foreign key makes
            # this fail; the repetition then finds the holder.
            connection.execute(_flavors.delete().where(this))
        return held.devices


def _must_not_hold(flavor: objects.PciFlavor, held: holders.Holders) -> None:
    if held.devices:
        raise exception.PciFlavorInUse(
            flavor.name, held.devices, held.instances
        )


def _lock(connection: sa.Connection, flavor_uuid: str) -> objects.PciFlavor:
    """Return a PCI flavor that nobody else changes until the end.

    :raises: PciFlavorNotFound
    """
    holders.lock(connection, flavor_uuid)
    return lookup.by_uuid(connection, flavor_uuid)


def _is_there(connection: sa.Connection, name: str, flavor_uuid: str) -> bool:
    """Whether it is this PCI flavor that has a name; False: nothing has it.

    :raises: PciFlavorExists if another one has.
    """
    found = connection.execute(
        sa.select(_flavors.c.uuid, _flavors.c.deleted_at).where(
            _flavors.c.name == name
        )
    ).one_or_none()
    if found is None:
        return False
    if found.deleted_at is not None:
        held = holders.count(connection, found.uuid).devices
        if held:
            raise exception.PciFlavorExists(name, held)
        # Whoever writes has removed it before.
        return False
    if found.uuid != flavor_uuid:
        raise exception.PciFlavorExists(name)
    return True


def _is_same(before: objects.PciFlavor, after: objects.PciFlavor) -> bool:
    return _columns(after) == _columns(before) and set(after.access) == set(
        before.access
    )


def _write(
    connection: sa.Connection,
    before: objects.PciFlavor,
    after: objects.PciFlavor,
) -> objects.PciFlavor:
    """Write a change if nobody else was faster.

    The lock keeps everybody else away; the condition makes sure.

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


def _forget_deleted(connection: sa.Connection) -> None:
    """Remove PCI flavors that were deleted and nothing holds any more.

    Their names are free then. Done when somebody writes PCI flavors, and not
    when a device is freed: that happens much more often.
    """
    is_held = (
        sa.select(models.pci_devices.c.id)
        .where(models.pci_devices.c.pci_flavor_uuid == _flavors.c.uuid)
        .exists()
    )
    # Looked up first: a DELETE would lock what it only looks at.
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
