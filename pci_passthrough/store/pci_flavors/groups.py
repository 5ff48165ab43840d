# SPDX-License-Identifier: Apache-2.0
"""Making PCI flavors from the groups that hosts give their devices.

A group is a value of the tag ``group`` or ``name``. It becomes a PCI flavor of
that name, once. Where the name means something else already, nothing is made,
and a text names both sides.
"""

from collections.abc import Collection
import dataclasses

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.matching import groups as groups_mod
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.pci_flavors import validation

_devices = models.pci_devices
_nodes = models.compute_nodes


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """The groups of hosts that have become PCI flavors, and those that not.

    :ivar seen: ids of all pool keys that were looked at.
    :ivar flavors: the PCI flavors that were made.
    :ivar clashes: for each group that has become none, the reason.
    """

    seen: frozenset[int]
    flavors: tuple[objects.PciFlavor, ...] = ()
    clashes: tuple[str, ...] = ()


def make(db: database.Writer, seen: frozenset[int]) -> Result:
    """Make PCI flavors of the groups of pool keys that are new.

    :param seen: ids of the pool keys that were looked at before.
    :raises: DatabaseUnavailable
    """
    catalog = db.catalog
    flavors: list[objects.PciFlavor] = []
    clashes: list[str] = []
    ids = _refreshed(db)
    if ids <= seen:
        return Result(seen)
    names = groups_mod.find({i: catalog[i] for i in ids - seen}).keys()
    for _, same_name in sorted(_groups(db, names).items()):
        flavor, reasons = _make(db, same_name)
        flavors += [flavor] if flavor else []
        clashes += reasons
    return Result(ids, tuple(flavors), tuple(clashes))


def of_flavor(db: database.Reader, flavor: objects.PciFlavor) -> list[str]:
    """Return the clashes of a PCI flavor with groups of its name.

    :returns: a text for each group with devices that it does not match.
    """
    _refreshed(db)
    matched = db.catalog.of_flavor(flavor)
    return [
        f'{_where(db, group, group.key_ids - matched)}, and the PCI flavor '
        f'{flavor.name} {_origin(flavor)} does not match it: change one of '
        'them, because they mean different devices by this name'
        for group in _groups(db, {flavor.name}).get(flavor.name, ())
        if group.key_ids - matched
    ]


@database.retried
def _refreshed(db: database.Reader) -> frozenset[int]:
    with db.read() as connection:
        db.catalog.refresh(connection)
    return db.catalog.ids()


@database.retried
def _groups(
    db: database.Reader, names: Collection[str]
) -> dict[str, list[matching.Group]]:
    """Return the groups of some names that devices of hosts have now."""
    catalog: pool_catalog.Catalog = db.catalog
    tagged = {
        key_id
        for key_id in catalog.ids()
        if any(
            tag in groups_mod.TAGS and value in names
            for tag, value in catalog[key_id].extra_info
        )
    }
    in_use = (
        sa.select(_devices.c.pool_key_id)
        .where(
            _devices.c.pool_key_id.in_(sorted(tagged)),
            _devices.c.presence == fields.Presence.OFFERED,
        )
        .distinct()
    )
    with db.read() as connection:
        key_ids = set(connection.execute(in_use).scalars()) if tagged else ()
    found = groups_mod.find({key_id: catalog[key_id] for key_id in key_ids})
    return {name: found[name] for name in names if name in found}


def _make(
    db: database.Writer, same_name: list[matching.Group]
) -> tuple[objects.PciFlavor | None, list[str]]:
    """Make the PCI flavor of the groups of a name, or say why not.

    Another conductor may make the same one. The name is unique, so the later
    one makes nothing.
    """
    group, *others = same_name
    places = [_where(db, group, group.key_ids) for group in same_name]
    try:
        flavor = validation.new(
            group.name,
            None,
            {'match': group.match, 'description': _DESCRIPTION},
        )
        return None, of_flavor(db, lookup.get(db, flavor.name))
    except exception.InvalidPciFlavor as error:
        return None, [f'{places[0]}: {error}']
    except exception.PciFlavorNotFound:
        if others:
            return None, [f'{", ".join(places)}: {_DIFFERENT}']
    origin = fields.PciFlavorOrigin.GROUP
    try:
        return editing.add(db, flavor.replace(origin=origin)), []
    except exception.PciFlavorExists as error:
        return None, [f'{places[0]}: {error}'] if error.holders else []


_DESCRIPTION = 'devices that hosts offer by this name'

_DIFFERENT = 'the tags mean different devices, so the name is given to neither'


def _origin(flavor: objects.PciFlavor) -> str:
    if flavor.origin is not None:
        return f'(origin: {flavor.origin})'
    owner = f'project {flavor.project_id}' if flavor.project_id else 'none'
    return f'(owner: {owner})'


@database.retried
def _where(
    db: database.Reader, group: matching.Group, key_ids: Collection[int]
) -> str:
    """Return the words for a device of a group, as its host reports it.

    :param key_ids: of which pool keys the device may be.
    """
    statement = (
        sa.select(_nodes.c.host, _devices.c.offered_by)
        .join_from(_devices, _nodes, _nodes.c.id == _devices.c.compute_node_id)
        .where(_devices.c.pool_key_id.in_(sorted(key_ids)))
        .order_by(_nodes.c.host, _devices.c.address)
        .limit(1)
    )
    with db.read() as connection:
        row = connection.execute(statement).first()
    host, entry = row or (None, None)
    return (
        f'Host {host or "unknown"} offers a device with the tag '
        f'{group.tag}={group.name} (entry {entry or "unknown"})'
    )
