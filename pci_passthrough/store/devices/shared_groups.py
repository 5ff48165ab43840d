# SPDX-License-Identifier: Apache-2.0
"""Recording which devices of a host share an IOMMU group with another."""

import collections
from typing import Any

import sqlalchemy as sa

from pci_passthrough.store import live_hosts
from pci_passthrough.store import models

_devices = models.pci_devices


def record(connection: sa.Connection, node_id: int) -> None:
    """Set ``shared_group`` of a host's devices.

    To be called when their IOMMU groups may have changed, in the transaction
    that changed them. All recorded devices of a group count, offered or not,
    also those that are missing: a missing device that an instance holds may
    come back. Only rows whose value changes are written.
    """
    rows = connection.execute(
        sa.select(
            _devices.c.id, _devices.c.iommu_group, _devices.c.shared_group
        ).where(_devices.c.compute_node_id == node_id)
    ).all()
    members = collections.Counter(row.iommu_group for row in rows)
    shared, alone = [], []
    for row in rows:
        if row.iommu_group is not None and members[row.iommu_group] > 1:
            if row.shared_group != row.iommu_group:
                shared.append(row.id)
        elif row.shared_group is not None:
            alone.append(row.id)
    _write(connection, shared, _devices.c.iommu_group)
    _write(connection, alone, sa.null())


def _write(
    connection: sa.Connection, ids: list[int], value: sa.ColumnElement[Any]
) -> None:
    for start in range(0, len(ids), live_hosts.MOST_IN_LIST):
        batch = ids[start : start + live_hosts.MOST_IN_LIST]
        connection.execute(
            _devices.update()
            .where(_devices.c.id.in_(batch))
            .values(shared_group=value)
        )
