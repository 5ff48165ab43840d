# SPDX-License-Identifier: Apache-2.0
"""Decides which free devices nobody gets until an operator decides. Pure.

If other hardware is at the address of a held device, its own hardware, with
the data on it, may be at another address: any free device of that vendor and
product may be it. Such devices are disabled by a reason of a fixed form, so
that they need no condition in the pool query.
"""

from collections.abc import Collection
from collections.abc import Iterable
import re

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import identity

#: The reason that disables new hardware if its entry has ``confirm_new``.
UNCONFIRMED = 'new hardware, to be confirmed'

#: How the reasons begin that withhold devices.
PREFIX = 'conflict of '

_CONFLICT = re.compile(rf'{PREFIX}[0-9a-f:]+\.[0-7]: ', re.ASCII)


def is_withheld(reason: str | None) -> bool:
    """Whether a disabled reason is that of a conflict of another device."""
    return reason is not None and _CONFLICT.match(reason) is not None


def is_operators(reason: str | None) -> bool:
    """Whether an operator gave a disabled reason."""
    return not (reason is None or reason == UNCONFIRMED or is_withheld(reason))


def reasons(
    devices: Iterable[objects.PciDevice], appeared: Collection[str] = ()
) -> dict[str, str | None]:
    """Return the disabled reasons that must change, by address.

    None puts a device back into service.

    :param devices: all devices of a host.
    :param appeared: addresses of devices that are new. While a held device is
        missing, one that is new may be its hardware in another slot.
    """
    devices = sorted(devices, key=lambda device: str(device.address))
    conflicts: dict[tuple[str, str], objects.PciDevice] = {}
    missing: dict[tuple[str, str], objects.PciDevice] = {}
    for device in devices:
        kind = identity.Identity.of(device).kind
        if device.get('conflict') is not None:
            conflicts.setdefault(kind, device)
        elif is_missing_card(device):
            missing.setdefault(kind, device)
    changed: dict[str, str | None] = {}
    for device in devices:
        if (
            device.status != fields.DeviceStatus.AVAILABLE
            or device.get('conflict') is not None
        ):
            continue
        kind = identity.Identity.of(device).kind
        cause = conflicts.get(kind)
        if cause is None and device.address in appeared:
            cause = missing.get(kind)
        if device.disabled_reason is None:
            if cause and device.presence == fields.Presence.OFFERED:
                changed[device.address] = _reason(cause)
        elif is_withheld(device.disabled_reason) and not (
            kind in conflicts or kind in missing
        ):
            changed[device.address] = None
    return changed


def is_missing_card(device: objects.PciDevice) -> bool:
    """Whether a device is held and its hardware may be in another slot.

    A virtual function has no slot.
    """
    return (
        device.presence == fields.Presence.MISSING
        and device.status != fields.DeviceStatus.AVAILABLE
        and device.parent_addr is None
    )


def _reason(cause: objects.PciDevice) -> str:
    state = 'in conflict' if cause.get('conflict') is not None else 'missing'
    return (
        f'{PREFIX}{cause.address}: that device is {state}, and this may '
        'be its hardware; resolve it first'
    )
