# SPDX-License-Identifier: Apache-2.0
"""Adding and deleting pool keys; ``pool_catalog`` has a copy of them."""

from collections.abc import Iterable
import hashlib
import json
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import models


def ensure(
    connection: sa.Connection, keys: Iterable[objects.PoolKey]
) -> dict[objects.PoolKey, int]:
    """Return the ids of pool keys, adding new ones.

    Two transactions may add the same key: the later one waits, fails and is
    repeated. All add in the same order, so they do not deadlock.
    """
    wanted = {_digest(key): key for key in keys}
    ids = _ids(connection, wanted)
    missing = sorted(wanted.keys() - ids.keys())
    if missing:
        connection.execute(
            models.pool_keys.insert(),
            [_to_row(digest, wanted[digest]) for digest in missing],
        )
        ids |= _ids(connection, missing)
    return {wanted[digest]: key_id for digest, key_id in ids.items()}


#: Fields that a later release has added, and what is true of earlier keys.
_LATER_FIELDS = {
    'vgpu_type': None,
    'resource_type': objects.fields.ResourceType.PCI,
}


@database.retried
def purge(db: database.Writer) -> int:
    """Delete the keys that no device has; return how many."""
    table = models.pool_keys
    in_use = sa.select(models.pci_devices.c.pool_key_id)
    with db.write() as connection:
        return connection.execute(
            table.delete().where(table.c.id.not_in(in_use))
        ).rowcount


def _ids(connection: sa.Connection, digests: Iterable[str]) -> dict[str, int]:
    table = models.pool_keys
    ids: dict[str, int] = {}
    remaining = list(digests)
    while remaining:
        batch, remaining = remaining[:500], remaining[500:]
        ids.update(
            connection.execute(
                sa.select(table.c.digest, table.c.id).where(
                    table.c.digest.in_(batch)
                )
            ).all()
        )
    return ids


def _to_row(digest: str, key: objects.PoolKey) -> dict[str, Any]:
    row = {name: getattr(key, name) for name in objects.POOL_FIELDS}
    absent = {name: '' for name in models.ABSENT_AS_EMPTY if row[name] is None}
    return {
        'digest': digest,
        'extra_info': dict(key.extra_info),
        **row,
        **absent,
    }


def _digest(key: objects.PoolKey) -> str:
    facts = [
        getattr(key, name)
        for name in objects.POOL_FIELDS
        if name not in _LATER_FIELDS
    ]
    # Conductors of earlier releases compute the digest without them.
    later = {
        name: value
        for name, default in _LATER_FIELDS.items()
        if (value := getattr(key, name)) != default
    }
    canonical = json.dumps(
        [facts, key.extra_info, *([later] if later else [])]
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
