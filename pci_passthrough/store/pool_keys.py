# SPDX-License-Identifier: Apache-2.0
"""The dimension of pool keys, and each process's copy of it."""

from collections.abc import Iterable
import hashlib
import json
import threading
from typing import Any

import sqlalchemy as sa

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.store import database
from pci_passthrough.store import models


class Catalog:
    """This process's copy of all pool keys, for matching. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index = matching.PoolIndex()
        self._ids: frozenset[int] = frozenset()
        self._seen = (0, 0)

    def __getitem__(self, key_id: int) -> objects.PoolKey:
        return self._index[key_id]

    def ids(self) -> frozenset[int]:
        """Return the ids of all keys that were there at the last refresh."""
        with self._lock:
            return self._ids

    def refresh(self, connection: sa.Connection) -> None:
        """Load keys that this process does not have yet.

        Ids are handed out in order but committed in any order, so "all above
        the highest that I know" would lose some for ever. Count and sum of
        all ids together change with every key that comes or goes.
        """
        keys = models.pool_keys
        count, total = connection.execute(
            sa.select(sa.func.count(), sa.func.sum(keys.c.id))
        ).one()
        seen = (int(count), int(total or 0))
        with self._lock:
            if seen == self._seen:
                return
            rows = connection.execute(sa.select(keys)).mappings().all()
            self._index.add({row['id']: from_row(row) for row in rows})
            self._ids = frozenset(row['id'] for row in rows)
            self._seen = (len(self._ids), sum(self._ids))

    def matching(
        self, expression: pci_flavor_spec.MatchExpression
    ) -> frozenset[int]:
        """Return the ids of the keys that an expression matches."""
        with self._lock:
            return self._index.matching(expression)

    def of_flavor(self, flavor: objects.PciFlavor) -> frozenset[int]:
        """Return the ids of the keys that a PCI flavor matches."""
        return self.matching(
            pci_flavor_spec.MatchExpression.parse(flavor.match)
        )


def ensure(
    connection: sa.Connection, keys: Iterable[objects.PoolKey]
) -> dict[objects.PoolKey, int]:
    """Return the ids of pool keys, adding those which are new.

    Two transactions may add the same key: the later one waits, fails and is
    repeated. All add in the same order, so they do not deadlock.
    """
    wanted = {_digest(key): key for key in keys}
    found = _ids(connection, wanted)
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        connection.execute(
            models.pool_keys.insert(),
            [_to_row(digest, wanted[digest]) for digest in missing],
        )
        found |= _ids(connection, missing)
    return {wanted[digest]: key_id for digest, key_id in found.items()}


@database.retried
def purge(db: database.Database) -> int:
    """Delete keys that no device has; return how many."""
    table = models.pool_keys
    in_use = sa.select(models.pci_devices.c.pool_key_id)
    with db.write() as connection:
        return connection.execute(
            table.delete().where(table.c.id.not_in(in_use))
        ).rowcount


def from_row(row: Any) -> objects.PoolKey:
    """Turn a row of ``pool_keys`` into a pool key."""
    values = {name: row[name] for name in objects.POOL_FIELDS}
    tags = tuple(sorted(row['extra_info'].items()))
    return objects.PoolKey(**values, extra_info=tags)


def _ids(connection: sa.Connection, digests: Iterable[str]) -> dict[str, int]:
    table = models.pool_keys
    found: dict[str, int] = {}
    remaining = list(digests)
    while remaining:
        batch, remaining = remaining[:500], remaining[500:]
        found.update(
            connection.execute(
                sa.select(table.c.digest, table.c.id).where(
                    table.c.digest.in_(batch)
                )
            )
            .tuples()
            .all()
        )
    return found


def _to_row(digest: str, key: objects.PoolKey) -> dict[str, Any]:
    row = {name: getattr(key, name) for name in objects.POOL_FIELDS}
    return {'digest': digest, 'extra_info': dict(key.extra_info), **row}


def _digest(key: objects.PoolKey) -> str:
    canonical = json.dumps(
        [
            [getattr(key, name) for name in objects.POOL_FIELDS],
            key.extra_info,
        ]
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
