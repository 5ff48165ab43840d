# SPDX-License-Identifier: Apache-2.0
"""A physical function and its virtual functions exclude each other.

While a virtual function is held, its physical function cannot be claimed, and
the other way round. The condition is part of each query that counts, selects
or claims devices; nothing about it is stored. (The conditions are cached:
SQLAlchemy takes longer to build one than a database to check it.)

A physical function and its virtual functions are related by ``parent_addr``
alone, not by ``dev_type``. A physical function without virtual functions may
be reported as an ordinary device; as long as one of its former virtual
functions is held, it must not be claimed, because that one may come back.
"""

import functools
from typing import Any

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.store import models

_relative = models.pci_devices.alias('relative')

#: Statuses in which a device excludes its physical or virtual functions.
HELD = tuple(
    status
    for status in fields.DeviceStatus.ALL
    if status != fields.DeviceStatus.AVAILABLE
)


@functools.cache
def not_excluded(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no related function of a device is held.

    Each device that is not available counts as held: a virtual function that
    is being cleaned or is quarantined excludes its physical function, too.

    :param device: ``pci_devices`` or an alias of it.
    """
    held_pf = (
        _held(device)
        .where(_relative.c.address == device.c.parent_addr)
        .exists()
    )
    return sa.case(
        (device.c.parent_addr.is_not(None), ~held_pf),
        else_=no_child_held(device),
    )


@functools.cache
def no_child_held(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no virtual function of a device is held.

    For a device that is not a virtual function, this is ``not_excluded``.
    """
    hint = 'FORCE INDEX (ix_pci_devices_family)'
    return ~(
        _held(device)
        .where(_relative.c.parent_addr == device.c.address)
        # MariaDB would read all devices of the host instead.
        .with_hint(_relative, hint, 'mysql')
        .with_hint(_relative, hint, 'mariadb')
        .exists()
    )


def _held(device: Any) -> sa.Select[Any]:
    return sa.select(_relative.c.id).where(
        _relative.c.compute_node_id == device.c.compute_node_id,
        _relative.c.status.in_(HELD),
    )
