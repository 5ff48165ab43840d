# SPDX-License-Identifier: Apache-2.0
"""A physical function and its virtual functions exclude each other.

While one virtual function is somebody's, the physical function cannot be
given away, and the other way round. The condition is part of each query that
counts, finds or takes devices; nothing about it is stored.

Who is whose kin is told by addresses alone. A physical function that has
lost its virtual functions may be reported as an ordinary device; while one of
them is still held, it must not be given away all the same: it may come back.
"""

from typing import Any

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.store import models


def not_excluded(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no kin of a device is held.

    Not available is held: a virtual function that is being cleaned or is in
    quarantine keeps its physical function, too.

    :param device: ``pci_devices`` or an alias of it.
    """
    kin = models.pci_devices.alias('kin')
    held = sa.and_(
        kin.c.compute_node_id == device.c.compute_node_id,
        kin.c.status != fields.DeviceStatus.AVAILABLE,
    )
    held_vf = sa.exists().where(held, kin.c.parent_addr == device.c.address)
    held_pf = sa.exists().where(held, kin.c.address == device.c.parent_addr)
    return sa.case(
        (device.c.parent_addr.is_not(None), ~held_pf), else_=~held_vf
    )
