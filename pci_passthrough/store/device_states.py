# SPDX-License-Identifier: Apache-2.0
"""What a device is, in SQL, as ``objects.PciDevice.state`` says it."""

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.store import exclusion
from pci_passthrough.store import models

_devices = models.pci_devices

#: The first of these that is true; a device is available if none is.
_NOT_AVAILABLE = (
    (_devices.c.presence == fields.Presence.MISSING, 'missing'),
    (_devices.c.status != fields.DeviceStatus.AVAILABLE, _devices.c.status),
    (_devices.c.disabled_reason.is_not(None), 'disabled'),
)


def state() -> sa.ColumnElement[str]:
    """Return ``objects.PciDevice.state``."""
    return sa.case(*_NOT_AVAILABLE, else_=fields.DeviceStatus.AVAILABLE)


def state_in_full() -> sa.ColumnElement[str]:
    """Return the same, and of what is available whether it can be had.

    It is ``withdrawn``, ``excluded`` or else ``free``.
    """
    return sa.case(
        *_NOT_AVAILABLE,
        (_devices.c.presence == fields.Presence.WITHDRAWN, 'withdrawn'),
        # Last, for it is the only one that looks at other rows.
        (~exclusion.not_excluded(_devices), 'excluded'),
        else_='free',
    )
