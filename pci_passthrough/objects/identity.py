# SPDX-License-Identifier: Apache-2.0
"""The identity of a device: its hardware, whatever its address. Pure."""

import dataclasses
from typing import Self

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields

#: Vendor and product.
Kind = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Vendor, product, subsystem and, where there is one, serial number.

    :ivar vendor_id: None for what has no vendor, as ``product_id``.
    :ivar subsystem_vendor_id: None if the host does not report it, as
        ``subsystem_id`` and ``serial_number``.
    """

    vendor_id: str | None
    product_id: str | None
    subsystem_vendor_id: str | None = None
    subsystem_id: str | None = None
    serial_number: str | None = None

    @classmethod
    def of(cls, device: device_obj.PciDevice) -> Self:
        """Return the identity of a device."""
        return cls(*(device.get(name) for name in FIELDS))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the identity that a text of ``__str__`` stands for.

        :raises ValueError: the text has fewer than five parts.
        """
        ids = text.split(':', len(FIELDS) - 1)
        if len(ids) != len(FIELDS):
            raise ValueError(
                f'{text!r} is not vendor:product:subsystem vendor:subsystem:'
                'serial number'
            )
        return cls(*(part or None for part in ids))

    def __str__(self) -> str:
        """Return five parts with colons between them; unknown ones empty."""
        return ':'.join(getattr(self, name) or '' for name in FIELDS)

    @property
    def in_words(self) -> str:
        """The identity for people, without what is not known."""
        parts = []
        if self.vendor_id and self.product_id:
            parts.append(f'{self.vendor_id}:{self.product_id}')
        if self.subsystem_vendor_id and self.subsystem_id:
            parts.append(
                f'subsystem {self.subsystem_vendor_id}:{self.subsystem_id}'
            )
        if self.serial_number:
            parts.append(f'serial number {self.serial_number}')
        return ' '.join(parts) or 'hardware without ids'

    @property
    def kind(self) -> Kind | None:
        """Vendor and product: what several devices of a host may share.

        None if the hardware has none, and nothing tells it from others.
        """
        if self.vendor_id is None or self.product_id is None:
            return None
        return self.vendor_id, self.product_id

    def contradicts(self, other: Self) -> bool:
        """Whether two identities cannot be those of the same hardware.

        What only one of them knows is no contradiction: a device in a guest
        does not show its serial number.
        """
        return any(
            None not in (mine, its) and mine != its
            for mine, its in (
                (getattr(self, name), getattr(other, name)) for name in FIELDS
            )
        )

    def proves(self, other: Self) -> bool:
        """Whether two identities are those of the same hardware for sure."""
        return self.serial_number is not None and self == other


FIELDS = tuple(field.name for field in dataclasses.fields(Identity))

#: An identity and the number of the function. The functions of a card may
#: have the serial number of the card; no slot changes their numbers.
Function = tuple[Identity, str]


def function_of(device: device_obj.PciDevice) -> Function:
    """Return what recognizes the hardware of a device at any address."""
    return Identity.of(device), number_of(device.address)


def number_of(address: str) -> str:
    """Return the number of the PCI function at an address, else nothing."""
    return address[-1] if fields.is_pci_address(address) else ''
