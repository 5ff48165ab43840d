# SPDX-License-Identifier: Apache-2.0
"""The hardware that a report places at each address of a host. Pure."""

from collections.abc import Iterable
from collections.abc import Mapping
import contextlib
import dataclasses
from typing import Self

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import identity


def keeps_hardware(device: objects.PciDevice) -> bool:
    """Whether the record of a device stands for its hardware, not its slot.

    If so, a report of other hardware at the address must not change it.
    """
    return not device.is_fresh or device.get('conflict') is not None


@dataclasses.dataclass(frozen=True)
class Sightings:
    """The hardware at the addresses that a report mentions.

    :ivar offered: address to offered device.
    :ivar refused: address to refused device, unless it is offered, too.
    :ivar withdrawn: address to the identity of other devices, None if it is
        not known.
    :ivar gone: addresses at which there is nothing any more.
    :ivar is_full: whether there is nothing at all other addresses.
    """

    offered: Mapping[str, objects.PciDevice]
    refused: Mapping[str, objects.PciDevice]
    withdrawn: Mapping[str, identity.Identity | None]
    gone: frozenset[str]
    is_full: bool

    @classmethod
    def of(cls, report: objects.HostReport) -> Self:
        """Read a report.

        An address in several lists must not change twice: the first counts.
        """
        offered = {device.address: device for device in report.offered}
        refused = {
            device.address: device
            for device in report.get('refused', ())
            if device.address not in offered
        }
        hardware = report.get('withdrawn_hardware', {})
        withdrawn = {
            address: _parse(hardware.get(address, ''))
            for address in report.withdrawn
            if address not in offered and address not in refused
        }
        return cls(
            offered,
            refused,
            withdrawn,
            frozenset(report.gone),
            bool(report.is_full),
        )

    def with_known(
        self,
        known: Mapping[str, objects.PciDevice],
        addresses: Iterable[str],
    ) -> Self:
        """Return the sightings, with known devices that are not mentioned.

        :param addresses: the addresses for which that is wanted.
        """
        wanted = {
            address: known[address]
            for address in addresses
            if address in known and not self.mentions(address)
        }
        offered = {
            address: device
            for address, device in wanted.items()
            if device.presence == fields.Presence.OFFERED
        }
        refused = {a: d for a, d in wanted.items() if a not in offered}
        return dataclasses.replace(
            self,
            offered={**self.offered, **offered},
            refused={**self.refused, **refused},
        )

    def mentions(self, address: str) -> bool:
        """Whether the report says anything about an address."""
        return (
            address in self.offered
            or address in self.refused
            or address in self.withdrawn
            or self.is_gone(address)
        )

    def is_gone(self, address: str) -> bool:
        """Whether the report says that nothing is at an address."""
        return not (
            address in self.offered
            or address in self.refused
            or address in self.withdrawn
        ) and (self.is_full or address in self.gone)

    def identity_at(self, address: str) -> identity.Identity | None:
        """Return what the report sees at an address, None if unknown."""
        device = self.offered.get(address) or self.refused.get(address)
        if device is not None:
            return identity.Identity.of(device)
        return self.withdrawn.get(address)

    def displaces(self, device: objects.PciDevice) -> bool:
        """Whether a device's hardware is not at its address, by the report.

        If the report does not mention the address, the record decides.
        """
        hardware = self.identity_at(device.address)
        if hardware is not None:
            return identity.Identity.of(device).contradicts(hardware)
        if self.is_gone(device.address):
            return True
        return device.get('conflict') is not None or (
            device.presence == fields.Presence.MISSING
            and not self.mentions(device.address)
        )

    def identities(self) -> dict[str, identity.Identity]:
        """Return all hardware that the report describes, by address."""
        hardware = {
            address: self.identity_at(address)
            for address in (*self.offered, *self.refused, *self.withdrawn)
        }
        return {a: what for a, what in hardware.items() if what}


def _parse(text: str) -> identity.Identity | None:
    with contextlib.suppress(ValueError):
        return identity.Identity.parse(text)
    return None
