# SPDX-License-Identifier: Apache-2.0
"""A process's copy of all pool keys; ``pool_keys`` writes the table."""

import threading
from typing import Any

import sqlalchemy as sa

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.store import models


class Catalog:
    """A process's copy of all pool keys, matched in memory. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index = matching.PoolIndex()
        self._ids: frozenset[int] = frozenset()
        self._count_and_sum = (0, 0)

    def __getitem__(self, key_id: int) -> objects.PoolKey:
        return self._index[key_id]

    def ids(self) -> frozenset[int]:
        """Return the ids of all keys that existed at the last refresh."""
        with self._lock:
            return self._ids

    def refresh(self, connection: sa.Connection) -> None:
        """Load the keys that were added or deleted since the last refresh.

        Loading only ids above the highest known one would miss keys: ids are
        assigned in order, but committed in any order. The count and the sum
        of all ids together change with every key that is added or deleted.
        """
        keys = models.pool_keys
        count, total = connection.execute(
            sa.select(sa.func.count(), sa.func.sum(keys.c.id))
        ).one()
        count_and_sum = (int(count), int(total or 0))
        with self._lock:
            if count_and_sum == self._count_and_sum:
                return
            rows = connection.execute(sa.select(keys)).mappings().all()
            self._index.add({row['id']: pool_key(row) for row in rows})
            self._ids = frozenset(row['id'] for row in rows)
            self._count_and_sum = (len(self._ids), sum(self._ids))

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
    for name in models.ABSENT_AS_EMPTY:
        values[name] = values[name] or None
    tags = tuple(sorted(row['extra_info'].items()))
    return objects.PoolKey(**values, extra_info=tags)
