# SPDX-License-Identifier: Apache-2.0
"""A physical function and its virtual functions exclude each other.

While one virtual function is somebody's, the physical function cannot be
given away, and the other way round. The condition is part of each query that
counts, finds or takes devices; nothing about it is stored. (The conditions
are cached: SQLAlchemy takes longer to build one than a database to check it.)

Who is whose kin is told by addresses alone. A physical function that has
lost its virtual functions may be reported as an ordinary device; while one of
them is still held, it must not be given away all the same: it may come back.
"""

import functools
from typing import Any

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.store import models

_kin = models.pci_devices.alias('kin')

#: Statuses in which a device keeps its kin from being given away.
HELD = tuple(
    status
    for status in fields.DeviceStatus.ALL
    if status != fields.DeviceStatus.AVAILABLE
)


@functools.cache
def not_excluded(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no kin of a device is held.

    Not available is held: a virtual function that is being cleaned or is in
    quarantine keeps its physical function, too.

    :param device: ``pci_devices`` or an alias of it.
    """
    held_pf = (
        _held(device).where(_kin.c.address == device.c.parent_addr).exists()
    )
    return sa.case(
        (device.c.parent_addr.is_not(None), ~held_pf),
        else_=no_child_held(device),
    )


@functools.cache
def no_child_held(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no virtual function of a device is held.

    Enough for a device that is no virtual function itself.
    """
    hint = 'FORCE INDEX (ix_pci_devices_family)'
    return ~(
        _held(device)
        .where(_kin.c.parent_addr == device.c.address)
        # MariaDB would read all devices of the host instead.
        .with_hint(_kin, hint, 'mysql')
        .with_hint(_kin, hint, 'mariadb')
        .exists()
    )


def _held(device: Any) -> sa.Select[Any]:
    return sa.select(_kin.c.id).where(
        _kin.c.compute_node_id == device.c.compute_node_id,
        _kin.c.status.in_(HELD),
    )
