# SPDX-License-Identifier: Apache-2.0
"""The statuses of a device and the actions that change them, in one table.

::

    available --claim--> claimed --allocate--> allocated
    claimed --abort--> or claimed, allocated --free-->
        available     without handlers
        cleaning      with handlers
        quarantined   if guests could not be started with it too often
    available, claimed or cleaning --adopt--> allocated
    cleaning --prepared--> available
    cleaning --not-prepared--> cleaning, or quarantined after too many attempts
    available, cleaning or quarantined --clean--> cleaning
    available or cleaning --quarantine--> quarantined --release--> available

A device with handlers is ``cleaning`` when it is first offered. ``disable``
and ``enable`` change no status: an allocated device that is disabled stays
with its instance and is not claimed again afterwards, and handlers leave a
disabled device alone.
"""

import dataclasses
from typing import Final

from pci_passthrough import exception
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """The statuses in which an action is allowed, and the resulting ones.

    An action with several targets depends on the device: see
    ``reporting.preparation``.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]


_S = fields.DeviceStatus

#: The statuses of a device that its instance gives back.
_GIVEN_BACK = (_S.AVAILABLE, _S.CLEANING, _S.QUARANTINED)

TRANSITIONS: Final = {
    'claim': Transition((_S.AVAILABLE,), (_S.CLAIMED,)),
    # An instance has an adopted device already, whatever is known of it.
    'adopt': Transition(
        (_S.AVAILABLE, _S.CLAIMED, _S.CLEANING), (_S.ALLOCATED,)
    ),
    'abort': Transition((_S.CLAIMED,), _GIVEN_BACK),
    'allocate': Transition((_S.CLAIMED,), (_S.ALLOCATED,)),
    'free': Transition((_S.CLAIMED, _S.ALLOCATED), _GIVEN_BACK),
    'prepared': Transition((_S.CLEANING,), (_S.AVAILABLE,)),
    # Another attempt follows, or none.
    'not-prepared': Transition((_S.CLEANING,), (_S.CLEANING, _S.QUARANTINED)),
    # A device that is only being set up is cleaned instead.
    'clean': Transition(
        (_S.AVAILABLE, _S.CLEANING, _S.QUARANTINED), (_S.CLEANING,)
    ),
    'quarantine': Transition((_S.AVAILABLE, _S.CLEANING), (_S.QUARANTINED,)),
    'release': Transition((_S.QUARANTINED,), (_S.AVAILABLE,)),
}

#: All values of ``PciDevice.state``.
STATES: Final = (*_S.ALL, 'disabled', 'missing', 'refused', 'conflict')

#: The actions by which operators change a device.
OPERATOR_ACTIONS: Final = (
    'disable',
    'enable',
    'quarantine',
    'release',
    'clean',
)

#: The operators' actions that need a reason.
ACTIONS_WITH_REASON: Final = ('disable', 'quarantine')

#: Statuses in which an instance holds the device.
OWNED: Final = (_S.CLAIMED, _S.ALLOCATED)


def check_allowed(device: device_obj.PciDevice, action: str) -> None:
    """Check that a device's status allows an action.

    :raises: DeviceStateConflict
    """
    sources = TRANSITIONS[action].sources
    if device.status not in sources:
        raise exception.DeviceStateConflict(
            f'{device.uuid} ({device.address} on {device.host})',
            action,
            device.state,
            sources,
        )
