# SPDX-License-Identifier: Apache-2.0
"""Each process's copy of the pool keys; ``pool_keys`` writes them."""

import threading
from typing import Any

import sqlalchemy as sa

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
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
            self._index.add({row['id']: pool_key(row) for row in rows})
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


def pool_key(row: Any) -> objects.PoolKey:
    """Turn a row of ``pool_keys`` into a pool key."""
    values = {name: row[name] for name in objects.POOL_FIELDS}
    tags = tuple(sorted(row['extra_info'].items()))
    return objects.PoolKey(**values, extra_info=tags)
