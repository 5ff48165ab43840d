# SPDX-License-Identifier: Apache-2.0
"""An attachment: Nova's row for a device of a PCI flavor that is held.

Nova's libvirt driver, port binding and migration contexts know devices from
the table ``pci_devices``. A device of a PCI flavor has a row there as long as
an instance holds it. Keys in ``extra_info`` mark the row as an attachment.

An attachment begins and ends as *available* and without owner, and is saved
like that:

* ``allocate`` and ``free`` of Nova's ``PciDevice`` find a device of an
  instance by the row's id, so a new row has to be saved. Its owner must not
  be saved yet: ``Instance.pci_devices`` may be loaded before the device is
  allocated to the instance, and would then contain the device twice.
* ``Instance.pci_devices`` may be loaded with deleted rows, and its query has
  no condition but status and owner: a row that was deleted with its owner
  would come back.
"""

from collections.abc import Mapping
from typing import Any
from typing import Self

from oslo_utils import strutils

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compute import net_facts

#: Key of ``extra_info`` that marks an attachment: the device's UUID.
DEVICE = 'pci_passthrough_device'

#: Key of ``extra_info``: the id by which the conductor knows the request.
CLAIM = 'pci_passthrough_claim'

#: Key of ``extra_info``: the UUID of the PCI flavor that was requested.
FLAVOR = 'pci_passthrough_flavor'

#: Key of ``extra_info``: the physical network that the device is on. It
#: differs from the tag's name, which Nova reads as a tag of device_spec.
NETWORK = 'pci_passthrough_physical_network'

#: Tags of pci_information that Nova's libvirt driver reads from a row.
_TAGS = ('managed', 'live_migratable')


def is_attachment(row: Any) -> bool:
    """Whether one of Nova's rows is for a device of a PCI flavor."""
    extra_info = loaded.attribute(row, 'extra_info')
    return isinstance(extra_info, Mapping) and DEVICE in extra_info


def physical_network(row: Any) -> str | None:
    """Return the physical network of an attachment's device, if any."""
    network: str | None = row.extra_info.get(NETWORK)
    return network


def is_held(row: Any) -> bool:
    """Whether an instance holds the device of one of Nova's rows."""
    return row.status in (
        pci.PciDeviceStatus.CLAIMED,
        pci.PciDeviceStatus.ALLOCATED,
    )


def claim_id(row: Any) -> str:
    """Return the id by which the conductor knows the request of a row.

    Native rows of very old instances have no request id.
    """
    return str(row.extra_info.get(CLAIM) or row.request_id or row.uuid)


def claim_number(request_id: str, number: int) -> str:
    """Return the claim id of one of Nova's requests.

    :param number: 1; 2 and so on for a further claim of the same request, in
        a resize within the host.
    """
    return request_id if number == 1 else f'{request_id}/{number}'


def request_of(claim: str) -> str:
    """Return the id of Nova's request that a claim is for."""
    return claim.partition('/')[0]


class Attachment:
    """One attachment, from its creation to its deletion.

    :ivar row: Nova's ``PciDevice`` object.
    :ivar instance_uuid: the instance that holds the device, or held it last.
    :ivar is_released: the instance does not hold the device any more, and the
        row is to be deleted. So is a row that nova-compute reads without
        owner at its start: the process ended before it had saved the owner,
        or before it had deleted the row.
    :ivar is_reported: the conductor knows whether the device is allocated.
    """

    def __init__(self, row: Any) -> None:
        # Only native rows are to be linked as PFs and VFs.
        row.parent_device = None
        row.child_devices = []
        self.row = row
        self.instance_uuid: str | None = row.instance_uuid
        self.is_released = not is_held(row)
        self.is_reported = True

    @classmethod
    def claimed(
        cls, context: Any, node_id: int, device: objects.PciDevice
    ) -> Self:
        """Create a claimed device's row, and save it without owner.

        :param device: as the conductor has claimed it.
        """
        row = _new_row(context, node_id, device)
        row.save()
        attachment = cls(row)
        row.claim(str(device.instance_uuid))
        row.request_id = request_of(str(device.request_id))
        attachment.instance_uuid = row.instance_uuid
        attachment.is_released = attachment.is_reported = False
        return attachment

    @classmethod
    def restored(
        cls, context: Any, node_id: int, device: objects.PciDevice
    ) -> Self:
        """Create the lost row of a held device again, unsaved."""
        row = _new_row(context, node_id, device)
        row.status = device.status
        row.instance_uuid = device.instance_uuid
        row.request_id = request_of(str(device.request_id))
        return cls(row)

    @classmethod
    def taken_over(cls, row: Any, device: objects.PciDevice) -> Self:
        """Turn a native row into an attachment, unsaved.

        :param device: as the conductor has adopted it.
        """
        _mark(row, device, claim_id(row))
        return cls(row)

    @property
    def address(self) -> str:
        """The PCI address of the device."""
        return str(self.row.address)

    @property
    def claim_id(self) -> str:
        """The id by which the conductor knows the request."""
        return claim_id(self.row)

    @property
    def rows(self) -> tuple[Any, ...]:
        """Nova's row; an attachment without one has none."""
        return (self.row,)

    @property
    def request_id(self) -> str | None:
        """Nova's id of the request; None in very old rows."""
        request_id: str | None = self.row.request_id
        return request_id

    @property
    def kind(self) -> tuple[str | None, str | None]:
        """The vendor and product id of the device."""
        return self.row.vendor_id, self.row.product_id

    @property
    def pci_flavor_uuid(self) -> str | None:
        """The PCI flavor that was requested; None for an adopted device."""
        pci_flavor: str | None = self.row.extra_info.get(FLAVOR)
        return pci_flavor

    @property
    def is_allocated(self) -> bool:
        """Whether the device is allocated, and not only claimed."""
        return bool(self.row.status == pci.PciDeviceStatus.ALLOCATED)

    def has_row(self, row: Any) -> bool:
        """Whether a row that Nova has read is that of this attachment.

        :param row: may be old.
        """
        return bool(
            row.id == self.row.id
            or (row.compute_node_id, row.address, row.request_id)
            == (
                self.row.compute_node_id,
                self.row.address,
                self.row.request_id,
            )
        )

    def allocate(self, instance: Any) -> None:
        """Turn the claim into an allocation, also in the instance's list."""
        self.row.allocate(instance)
        self.is_reported = False

    def release(self, instance: Any = None) -> None:
        """Take the device from its instance.

        :param instance: Nova's instance, to remove the device from its list,
            too. Nova's method fails for a device that is not in the list.
        """
        if instance is not None and self.is_allocated:
            listed = instance['pci_devices'] or ()
            if all(device.id != self.row.id for device in listed):
                instance = None
        self.row.free(instance)
        self.is_released = True

    def hand_back(self) -> Any:
        """Turn the attachment into a native row, unsaved, and return it."""
        self.row.extra_info = {
            key: value
            for key, value in self.row.extra_info.items()
            if key not in (DEVICE, CLAIM, FLAVOR, NETWORK)
        }
        return self.row

    def save(self, context: Any) -> None:
        """Save changed fields of the row."""
        with self.row.obj_alternate_context(context):
            if self.row.obj_what_changed():
                self.row.save()

    def delete(self, context: Any) -> None:
        """Delete the row, after ``save`` has removed its owner."""
        with self.row.obj_alternate_context(context):
            if self.row.status == pci.PciDeviceStatus.AVAILABLE:
                self.row.remove()
            try:
                self.row.save()
            except pci.PciDeviceNotFound:
                # Another process has deleted it.
                self.row.status = pci.PciDeviceStatus.DELETED


def _new_row(context: Any, node_id: int, device: objects.PciDevice) -> Any:
    name = device.address.replace(':', '_').replace('.', '_')
    row = pci.PciDevice.create(
        context,
        {
            'compute_node_id': node_id,
            'address': device.address,
            'parent_addr': device.parent_addr,
            'dev_type': device.dev_type,
            'vendor_id': device.vendor_id,
            'product_id': device.product_id,
            'numa_node': device.numa_node,
            # As Nova's libvirt driver names devices.
            'dev_id': f'pci_{name}',
            'label': f'label_{device.vendor_id}_{device.product_id}',
        },
    )
    _mark(row, device, str(device.request_id))
    return row


def _mark(row: Any, device: objects.PciDevice, claim: str) -> None:
    tags = {
        tag: str(strutils.bool_from_string(device.extra_info[tag])).lower()
        for tag in _TAGS
        if tag in device.extra_info
    }
    marks = {
        DEVICE: device.uuid,
        CLAIM: claim,
        FLAVOR: device.pci_flavor_uuid,
        NETWORK: device.extra_info.get(matching.PHYSICAL_NETWORK),
    }
    row.extra_info = {
        **row.extra_info,
        **net_facts.extra_info(device),
        **tags,
        **{key: value for key, value in marks.items() if value is not None},
    }
