# SPDX-License-Identifier: Apache-2.0
"""Holders of devices by PCI flavor, and the locks that protect them.

A claim locks the PCI flavors by which it takes devices until it is committed,
and compares their generations with those that it has resolved
(``lock_generations``). A change of a PCI flavor locks it (``lock``), counts
the holders after that, and writes a new generation. So either the change sees
the claim, or the claim sees the change, whatever was changed: the match
expression, the name, the state, or the projects that may use it.
"""

from collections.abc import Collection
import dataclasses

import sqlalchemy as sa

from pci_passthrough import matching
from pci_passthrough.objects import fields
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog

_flavors = models.pci_flavors
_devices = models.pci_devices

#: Instances that are listed by UUID.
MOST_INSTANCES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Holders:
    """Counts of devices that are held by a PCI flavor.

    :ivar devices: how many devices are held.
    :ivar instance_count: how many instances hold them.
    :ivar instances: UUIDs of ``MOST_INSTANCES`` of them.
    """

    devices: int = 0
    instance_count: int = 0
    instances: tuple[str, ...] = ()


def count(
    connection: sa.Connection,
    flavor_uuid: str,
    key_ids: Collection[int] | None = None,
) -> Holders:
    """Count the devices that are held by a PCI flavor.

    :param key_ids: only devices of these pool keys; None means of all.
    """
    statement = (
        sa.select(
            _devices.c.instance_uuid,
            _devices.c.pool_key_id,
            sa.func.count(),
        )
        .where(_devices.c.pci_flavor_uuid == flavor_uuid)
        .group_by(_devices.c.instance_uuid, _devices.c.pool_key_id)
    )
    devices = 0
    instances = set()
    for instance, key_id, count in connection.execute(statement):
        if key_ids is None or key_id in key_ids:
            devices += count
            instances.add(str(instance))
    return Holders(
        devices, len(instances), tuple(sorted(instances)[:MOST_INSTANCES])
    )


def count_stranded(
    connection: sa.Connection,
    flavor_uuid: str,
    before: fields.Match,
    after: fields.Match,
) -> Holders:
    """Count held devices that a changed PCI flavor would not match any more.

    Held devices that it does not match now are not counted. There are such:
    adopted devices, and devices whose host reports other facts since.
    """
    in_use = sa.select(_devices.c.pool_key_id).where(
        _devices.c.pci_flavor_uuid == flavor_uuid
    )
    keys = models.pool_keys
    rows = connection.execute(sa.select(keys).where(keys.c.id.in_(in_use)))
    index = matching.PoolIndex()
    index.add({r['id']: pool_catalog.pool_key(r) for r in rows.mappings()})
    old, new = (
        index.matching(pci_flavor_spec.MatchExpression.parse(match))
        for match in (before, after)
    )
    lost = old - new
    return count(connection, flavor_uuid, lost) if lost else Holders()


def lock(connection: sa.Connection, flavor_uuid: str) -> None:
    """Lock a PCI flavor against changes and claims until the end.

    Waits for claims that hold ``lock_generations``.
    """
    connection.execute(
        sa.select(_flavors.c.id)
        .where(_flavors.c.uuid == flavor_uuid)
        .with_for_update()
    )


def lock_generations(
    connection: sa.Connection, flavor_uuids: Collection[str]
) -> dict[str, int]:
    """Lock PCI flavors against changes until the end of a claim.

    The foreign key's check takes the same lock a moment later, so this delays
    nobody.

    :returns: the generations by UUID, without PCI flavors that were deleted
        after the requests were resolved.
    """
    statement = (
        sa.select(_flavors.c.uuid, _flavors.c.generation)
        .where(
            _flavors.c.uuid.in_(sorted(flavor_uuids)),
            _flavors.c.deleted_at.is_(None),
        )
        .with_for_update(read=True, key_share=True)
    )
    return dict(connection.execute(statement).all())
