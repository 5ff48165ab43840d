# SPDX-License-Identifier: Apache-2.0
"""Decides what becomes of a device between two instances. Pure.

The functions return the fields of a device that change. If the status becomes
``cleaning``, the store adds a new fence.
"""

import dataclasses
from typing import Any
from typing import Final

from pci_passthrough import objects
from pci_passthrough.objects import fields

_S = fields.DeviceStatus
_STEP = fields.PreparationStep

#: Instances that are remembered of a device with failed starts.
MOST_INSTANCES: Final = 20

#: The changes of a device with which guests can be started.
NO_FAILED_STARTS: Final[dict[str, Any]] = {
    'failed_starts': 0,
    'failed_instances': [],
    'start_failed_for': None,
    'start_failure': None,
}


#: The changes of a device with which handlers have nothing to do.
NOTHING_DUE: Final[dict[str, Any]] = dict.fromkeys(
    name
    for name in objects.device.PREPARATION_FIELDS
    # The fence only grows.
    if name != 'preparation'
)


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """How often something may fail until a device is quarantined.

    :ivar attempts: attempts to prepare a device.
    :ivar failed_starts: failed starts of guests in a row; 0 means any number.
    :ivar failed_instances: of how many instances these guests must have been.
    """

    attempts: int = 3
    failed_starts: int = 3
    failed_instances: int = 2


def begin(
    step: str | None, attempt: int = 1, text: str | None = None
) -> dict[str, Any]:
    """Return the changes of a device for which an attempt is due.

    :param step: of ``PreparationStep``.
    :param text: why the attempt before has failed.
    """
    return {
        'status': _S.CLEANING,
        'preparation_step': step,
        'preparation_attempt': attempt,
        'preparation_percent': None,
        'preparation_text': text,
        'quarantine_reason': None,
    }


def ready() -> dict[str, Any]:
    """Return the changes of a device that the next instance can have."""
    return {'status': _S.AVAILABLE, **NOTHING_DUE}


def quarantine(reason: str | None) -> dict[str, Any]:
    """Return the changes of a device that nobody gets until it is looked at.

    Its step stays: a device that was not prepared still is not.
    """
    return {
        'status': _S.QUARANTINED,
        'preparation_percent': None,
        'quarantine_reason': reason,
    }


def given_back(device: objects.PciDevice, bounds: Bounds) -> dict[str, Any]:
    """Return the changes of a device that its instance does not need any more.

    :param device: the device, still held.
    """
    step = {'preparation_step': _STEP.CLEAN} if device.handlers else {}
    if device.get('start_failed_for') != device.instance_uuid:
        return _to_clean(device) if step else {'status': _S.AVAILABLE}
    others = [u for u in device.failed_instances if u != device.instance_uuid]
    instances = [*others, device.instance_uuid][-MOST_INSTANCES:]
    failed = device.failed_starts + 1
    counted = {
        'failed_starts': failed,
        'failed_instances': instances,
        'start_failed_for': None,
    }
    if (
        0 < bounds.failed_starts <= failed
        and len(instances) >= bounds.failed_instances
    ):
        reason = (
            f'{failed} guests of {len(instances)} instances could not be '
            f'started with it; the last one: {device.start_failure}'
        )
        return counted | quarantine(reason) | step
    if step:
        return counted | _to_clean(device)
    return counted | {'status': _S.AVAILABLE}


def _to_clean(device: objects.PciDevice) -> dict[str, Any]:
    """Return the changes of a device with handlers that has come back."""
    if device.presence == fields.Presence.WITHDRAWN:
        # Its agent would leave it alone, for ever.
        return {'preparation_step': _STEP.CLEAN} | quarantine(
            'it was to be cleaned, and pci_information does not offer it any '
            'more'
        )
    return begin(_STEP.CLEAN)


def failed(
    device: objects.PciDevice, output: str, bounds: Bounds
) -> dict[str, Any]:
    """Return the changes of a device whose handlers have failed.

    :param output: what they have said, in one line.
    """
    attempt = device.preparation_attempt or 1
    may_go_on = (
        device.on_failure == fields.OnFailure.RETRY
        or attempt < bounds.attempts
    )
    ended = {'preparation_running': None}
    if may_go_on:
        text = f'attempt {attempt} failed: {output}'
        return ended | begin(device.preparation_step, attempt + 1, text)
    times = 'once' if attempt == 1 else f'{attempt} times'
    return ended | quarantine(
        f'its handlers ({", ".join(device.handlers)}) failed {times}; the '
        f'last time: {output}'
    )


def ended(
    device: objects.PciDevice,
    fence: int,
    succeeded: bool,
    output: str,
    bounds: Bounds,
) -> dict[str, Any]:
    """Return the changes of a device by the end of an attempt.

    The end of an older attempt, or of one that was reported already, changes
    nothing but that the agent is no longer at work on it.

    :param fence: the fence of the attempt.
    :param output: what the handlers have said, in one line.
    """
    ended: dict[str, Any] = (
        {'preparation_running': None}
        if device.preparation_running == fence
        else {}
    )
    if device.preparation != fence or device.conflict is not None:
        return ended
    if device.status == _S.CLEANING:
        return ready() if succeeded else failed(device, output, bounds)
    if ended and device.status == _S.QUARANTINED and succeeded:
        # An operator was faster, and only has to release it now.
        return ended | {'preparation_step': None}
    return ended


def reported(
    before: objects.PciDevice,
    after: objects.PciDevice,
    *,
    is_offered_anew: bool,
) -> dict[str, Any]:
    """Return the changes of a device that is not held, by a report of it.

    Work that was done for other handlers, or before the device was away, does
    not count.

    :param before: the device as it was known.
    :param after: the same, with the facts of the report.
    :param is_offered_anew: whether it was not offered before, or other
        hardware is at its address now.
    """
    if is_offered_anew and before.is_fresh and after.get('handlers'):
        return begin(_STEP.SETUP)
    if before.status != _S.CLEANING or not before.get('handlers'):
        return {}
    if not after.handlers:
        if before.is_fresh and before.preparation_running is None:
            return ready()
        return quarantine(
            'it was to be prepared, and pci_information names no handler for '
            'it any more'
        )
    is_other = before.handlers != after.handlers
    is_back = before.presence != after.presence or before.conflict is not None
    if is_other or is_back:
        return begin(before.preparation_step)
    return {}


def moved(
    before: objects.PciDevice, after: objects.PciDevice
) -> dict[str, Any]:
    """Return the changes of a device that is at another address, or lost.

    Its preparation begins again: an agent that is still at work is at work on
    other hardware.

    :param before: the device as it was known.
    :param after: the same, at its address now.
    """
    if before.status != _S.CLEANING:
        return {}
    return reported(before, after, is_offered_anew=False) or begin(
        before.preparation_step
    )
