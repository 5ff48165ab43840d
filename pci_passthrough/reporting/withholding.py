# SPDX-License-Identifier: Apache-2.0
"""Decides which free devices nobody gets until an operator decides. Pure.

If other hardware is at the address of a held device, its own hardware, with
the data on it, may be at another address: any free device of that vendor and
product may be it. Such devices are disabled by a reason of a fixed form, so
that they need no condition in the pool query.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import re
from typing import Self

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
    devices: Iterable[objects.PciDevice],
    appeared: Collection[str] = (),
    recognized: Collection[str] = (),
) -> dict[str, str | None]:
    """Return the disabled reasons that must change, by address.

    None puts a device back into service.

    :param devices: all devices of a host.
    :param appeared: addresses of devices that are new. While a held device is
        missing, one that is new may be its hardware in another slot.
    :param recognized: addresses whose serial number is newly known. If it is
        that of a held device, this is its hardware, although the device that
        is at its address now does not contradict by a number of its own.
    """
    devices = sorted(devices, key=lambda device: str(device.address))
    causes = _Causes.among(devices)
    changed: dict[str, str | None] = {}
    for device in devices:
        if not device.is_fresh or device.get('conflict') is not None:
            continue
        if device.disabled_reason is None:
            cause = causes.of(
                device,
                device.address in appeared,
                device.address in recognized,
            )
            if cause and device.presence == fields.Presence.OFFERED:
                changed[device.address] = _reason(cause)
        elif is_withheld(device.disabled_reason) and not causes.of(
            device, has_appeared=True, is_recognized=True
        ):
            changed[device.address] = None
    return changed


@dataclasses.dataclass(frozen=True)
class _Causes:
    """Devices that keep others out of service.

    :ivar conflicts: kind to a device in conflict.
    :ivar missing: kind to a held device whose hardware is missing.
    :ivar held: what recognizes a held device by its serial number.
    """

    conflicts: Mapping[identity.Kind, objects.PciDevice]
    missing: Mapping[identity.Kind, objects.PciDevice]
    held: Mapping[identity.Function, objects.PciDevice]

    @classmethod
    def among(cls, devices: Iterable[objects.PciDevice]) -> Self:
        """Find the causes; of several, the first counts."""
        conflicts: dict[identity.Kind, objects.PciDevice] = {}
        missing: dict[identity.Kind, objects.PciDevice] = {}
        held: dict[identity.Function, objects.PciDevice] = {}
        for device in devices:
            function = identity.function_of(device)
            kind = function[0].kind
            if kind is None:
                continue
            if device.get('conflict') is not None:
                conflicts.setdefault(kind, device)
            elif is_missing_card(device):
                missing.setdefault(kind, device)
            if not device.is_fresh and device.get('serial_number') is not None:
                held.setdefault(function, device)
        return cls(conflicts, missing, held)

    def of(
        self,
        device: objects.PciDevice,
        has_appeared: bool,
        is_recognized: bool,
    ) -> objects.PciDevice | None:
        """Return what keeps a free device out of service, if anything."""
        function = identity.function_of(device)
        kind = function[0].kind
        if kind is None:
            return None
        cause = self.conflicts.get(kind)
        if cause is None and has_appeared:
            cause = self.missing.get(kind)
        if cause is None and is_recognized:
            cause = self.held.get(function)
        return cause


def is_missing_card(device: objects.PciDevice) -> bool:
    """Whether a device is held and its hardware may be in another slot.

    A virtual function has no slot.
    """
    return (
        device.presence == fields.Presence.MISSING
        and not device.is_fresh
        and device.parent_addr is None
    )


def _reason(cause: objects.PciDevice) -> str:
    if cause.get('conflict') is not None:
        state = 'in conflict'
    elif is_missing_card(cause):
        state = 'missing'
    else:
        state = 'held'
    return (
        f'{PREFIX}{cause.address}: that device is {state}, and this may '
        'be its hardware; resolve it first'
    )
