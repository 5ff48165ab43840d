# SPDX-License-Identifier: Apache-2.0
"""An attachment without a row of Nova: a held device, no PCI function.

Nova's table ``pci_devices`` is for PCI functions only. Only the conductor
records who holds another device. nova-compute keeps these attachments in
memory, beside those with rows and with the same methods, and knows them again
by the conductor's answer when its tracker registers.
"""

from typing import Any
from typing import Self

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.objects import fields


def is_rowless(device: objects.PciDevice) -> bool:
    """Whether Nova has no rows for devices of this resource type."""
    # A conductor of an earlier release knows PCI functions only.
    resource_type = device.get('resource_type', fields.ResourceType.PCI)
    return bool(resource_type != fields.ResourceType.PCI)


class RowlessAttachment:
    """One attachment, from the claim of its device to its release.

    :ivar device: the device, as the conductor knew it when it was claimed, or
        when nova-compute started.
    :ivar rows: no rows of Nova.
    :ivar instance_uuid: the instance that holds the device, or held it last.
    :ivar is_allocated: whether the device is allocated, and not only claimed.
    :ivar is_released: the instance does not hold the device any more.
    :ivar is_reported: the conductor knows whether the device is allocated.
    """

    rows: tuple[Any, ...] = ()

    def __init__(self, device: objects.PciDevice) -> None:
        self.device = device
        self.instance_uuid: str | None = str(device.instance_uuid)
        self.is_allocated = device.status == fields.DeviceStatus.ALLOCATED
        self.is_released = False
        self.is_reported = True

    @classmethod
    def remembered(cls, device: objects.PciDevice) -> Self:
        """Return the attachment of a device that an instance has held before.

        Between Nova's operations no device is only claimed: nova-compute has
        ended in the middle of one, or an answer was lost, or a live migration
        is under way. If the instance does not have the device, it is freed as
        that of any instance that does not have it any more.
        """
        attached = cls(device)
        attached.is_reported = attached.is_allocated
        attached.is_allocated = True
        return attached

    @property
    def address(self) -> str:
        """The address of the device, within its resource type."""
        return str(self.device.address)

    @property
    def claim_id(self) -> str:
        """The id by which the conductor knows the request."""
        return str(self.device.request_id)

    @property
    def request_id(self) -> str:
        """Nova's id of the request."""
        return attachment.request_of(self.claim_id)

    @property
    def kind(self) -> tuple[str | None, str | None]:
        """The vendor and product id of the device."""
        return self.device.vendor_id, self.device.product_id

    @property
    def pci_flavor_uuid(self) -> str | None:
        """The PCI flavor that was requested; None for an adopted device."""
        pci_flavor: str | None = self.device.pci_flavor_uuid
        return pci_flavor

    def has_row(self, row: Any) -> bool:
        """Whether one of Nova's rows is for this device: never."""
        return False

    def allocate(self, instance: Any) -> None:
        """Turn the claim into an allocation."""
        self.is_allocated = True
        self.is_reported = False

    def release(self, instance: Any = None) -> None:
        """Take the device from its instance."""
        self.is_released = True

    def save(self, context: Any) -> None:
        """Save nothing: the conductor has all that there is."""

    def delete(self, context: Any) -> None:
        """Delete nothing."""
