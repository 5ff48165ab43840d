# SPDX-License-Identifier: Apache-2.0
"""The statuses of a device and the actions that change them, in one table.

::

    available --claim--> claimed --allocate--> allocated
    claimed --abort--> or claimed, allocated --free-->
        available     without handlers
        cleaning      with handlers
        quarantined   if guests could not be started with it too often
    available, claimed or cleaning --adopt--> allocated
    cleaning --prepared--> available, or quarantined after too many attempts
    available or quarantined --clean--> cleaning
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
    """The statuses in which an action is allowed, and the resulting one."""

    sources: tuple[str, ...]
    target: str


_S = fields.DeviceStatus

TRANSITIONS: Final = {
    'claim': Transition((_S.AVAILABLE,), _S.CLAIMED),
    # An instance has an adopted device already, whatever is known of it.
    'adopt': Transition((_S.AVAILABLE, _S.CLAIMED, _S.CLEANING), _S.ALLOCATED),
    'abort': Transition((_S.CLAIMED,), _S.AVAILABLE),
    'allocate': Transition((_S.CLAIMED,), _S.ALLOCATED),
    'free': Transition((_S.CLAIMED, _S.ALLOCATED), _S.AVAILABLE),
    'prepared': Transition((_S.CLEANING,), _S.AVAILABLE),
    # A device that is only being set up is cleaned instead.
    'clean': Transition(
        (_S.AVAILABLE, _S.CLEANING, _S.QUARANTINED), _S.CLEANING
    ),
    'quarantine': Transition((_S.AVAILABLE, _S.CLEANING), _S.QUARANTINED),
    'release': Transition((_S.QUARANTINED,), _S.AVAILABLE),
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


def target_of(device: device_obj.PciDevice, action: str) -> str:
    """Return the status of a device after an action.

    :raises: DeviceStateConflict if the device's status does not allow it.
    """
    transition = TRANSITIONS[action]
    if device.status not in transition.sources:
        raise exception.DeviceStateConflict(
            f'{device.uuid} ({device.address} on {device.host})',
            action,
            device.state,
            transition.sources,
        )
    return transition.target
