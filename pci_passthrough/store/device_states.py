# SPDX-License-Identifier: Apache-2.0
"""The state of a device in SQL, equal to ``objects.PciDevice.state``."""

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.store import exclusion
from pci_passthrough.store import models

_devices = models.pci_devices


def is_refused() -> sa.ColumnElement[bool]:
    """Return the condition that the host refuses a device."""
    return (
        _devices.c.presence == fields.Presence.WITHDRAWN
    ) & _devices.c.refusal.is_not(None)


#: Conditions and states; the first true condition decides. A device for
#: which none is true is available.
_NOT_AVAILABLE = (
    (_devices.c.conflict.is_not(None), 'conflict'),
    (_devices.c.presence == fields.Presence.MISSING, 'missing'),
    (
        _devices.c.status.not_in(
            (fields.DeviceStatus.AVAILABLE, fields.DeviceStatus.CLEANING)
        ),
        _devices.c.status,
    ),
    (_devices.c.disabled_reason.is_not(None), 'disabled'),
    (
        _devices.c.status == fields.DeviceStatus.CLEANING,
        fields.DeviceStatus.CLEANING,
    ),
    (is_refused(), 'refused'),
)


def state() -> sa.ColumnElement[str]:
    """Return ``objects.PciDevice.state``."""
    return sa.case(*_NOT_AVAILABLE, else_=fields.DeviceStatus.AVAILABLE)


def state_in_full() -> sa.ColumnElement[str]:
    """Return the state, with available devices divided further.

    An available device is ``withdrawn``, ``excluded`` or ``free``.
    """
    return sa.case(
        *_NOT_AVAILABLE,
        (_devices.c.presence == fields.Presence.WITHDRAWN, 'withdrawn'),
        # Last, because it is the only condition that reads other rows.
        (~exclusion.not_excluded(_devices), 'excluded'),
        else_='free',
    )
