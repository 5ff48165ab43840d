# SPDX-License-Identifier: Apache-2.0
"""Nova's row for a device of this project that an instance has.

Nova's libvirt driver, its port binding and its migration contexts know
devices from the table ``pci_devices``. For a device of this project there is
a row as long as an instance has it, told apart by ``extra_info``.

A row begins and ends as *available* and without owner, and is saved so:

* ``allocate`` and ``free`` of Nova find a device of an instance by the row's
  id, so a new row has to be saved. Its owner must not be saved yet:
  ``Instance.pci_devices`` may be loaded before the device is allocated to
  the instance, and would contain it twice then.
* ``Instance.pci_devices`` may be loaded with deleted rows, and asks for the
  status and the owner alone: a row deleted as it was would come back.
"""

from typing import Any
from typing import Self

from oslo_utils import strutils

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compute import net_facts

#: Key of ``extra_info`` that marks a row; its value is the device's UUID.
DEVICE = 'pci_passthrough_device'

#: Key of ``extra_info``: the id by which this project knows the request.
CLAIM = 'pci_passthrough_claim'

#: Key of ``extra_info``: the PCI flavor for which the device was given.
FLAVOR = 'pci_passthrough_flavor'

#: Key of ``extra_info``: the physical network that the device is on. Not the
#: tag's own name: Nova would take it for one of ``[pci] device_spec``.
NETWORK = 'pci_passthrough_physical_network'

#: Tags of pci_information that Nova's libvirt driver reads from the row.
_TAGS = ('managed', 'live_migratable')


def is_ours(row: Any) -> bool:
    """Whether one of Nova's rows is the record of a device of ours."""
    return DEVICE in row.extra_info


def physical_network(row: Any) -> str | None:
    """Return the physical network of the device of a row; None: on none."""
    found: str | None = row.extra_info.get(NETWORK)
    return found


def is_held(row: Any) -> bool:
    """Whether an instance has the device of one of Nova's rows."""
    return row.status in (
        pci.PciDeviceStatus.CLAIMED,
        pci.PciDeviceStatus.ALLOCATED,
    )


def claim_id(row: Any) -> str:
    """Return the id by which this project knows the request of a row.

    Rows of very old instances name no request.
    """
    return str(row.extra_info.get(CLAIM) or row.request_id or row.uuid)


def claim_number(request_id: str, number: int) -> str:
    """Return the id of an instance's claim for one of Nova's requests.

    :param number: 1 as a rule.
    """
    return request_id if number == 1 else f'{request_id}/{number}'


def request_of(claim: str) -> str:
    """Return the id of Nova's request of a claim."""
    return claim.partition('/')[0]


class Attachment:
    """A row of ours, from its making to its end.

    :ivar row: Nova's object.
    :ivar instance_uuid: who has the device, or had it last.
    :ivar is_released: the instance does not have it any more, and what is
        left is to save that. Rows found so at start are what a nova-compute
        left that ended before it had saved the owner, or the end.
    :ivar is_told: the service knows as what the instance has it.
    """

    def __init__(self, row: Any) -> None:
        # Only rows of Nova's own PFs and VFs are to know each other.
        row.parent_device = None
        row.child_devices = []
        self.row = row
        self.instance_uuid: str | None = row.instance_uuid
        self.is_released = not is_held(row)
        self.is_told = True

    @classmethod
    def claimed(
        cls, context: Any, node_id: int, device: objects.PciDevice
    ) -> Self:
        """Make a row for a device that was claimed, and save it ownerless.

        :param device: as it was claimed.
        """
        row = _new_row(context, node_id, device)
        row.save()
        attachment = cls(row)
        row.claim(str(device.instance_uuid))
        row.request_id = request_of(str(device.request_id))
        attachment.instance_uuid = row.instance_uuid
        attachment.is_released = attachment.is_told = False
        return attachment

    @classmethod
    def restored(
        cls, context: Any, node_id: int, device: objects.PciDevice
    ) -> Self:
        """Make the row of a held device again, unsaved."""
        row = _new_row(context, node_id, device)
        row.status = device.status
        row.instance_uuid = device.instance_uuid
        row.request_id = request_of(str(device.request_id))
        return cls(row)

    @classmethod
    def taken_over(cls, row: Any, device: objects.PciDevice) -> Self:
        """Make one of Nova's rows one of ours, unsaved.

        :param device: as it was adopted.
        """
        _mark(row, device, claim_id(row))
        return cls(row)

    @property
    def address(self) -> str:
        """The device's address."""
        return str(self.row.address)

    @property
    def claim_id(self) -> str:
        """See ``claim_id``."""
        return claim_id(self.row)

    @property
    def pci_flavor_uuid(self) -> str | None:
        """The PCI flavor for which the device was given, if for any."""
        found: str | None = self.row.extra_info.get(FLAVOR)
        return found

    @property
    def is_allocated(self) -> bool:
        """Whether the instance has the device for good."""
        return bool(self.row.status == pci.PciDeviceStatus.ALLOCATED)

    def allocate(self, instance: Any) -> None:
        """Turn the claim into an allocation, in the instance's list, too."""
        self.row.allocate(instance)
        self.is_told = False

    def release(self, instance: Any = None) -> None:
        """Take the device from its instance.

        :param instance: to take it from that one's list, too; Nova's method
            fails for a device that is not in it.
        """
        if instance is not None and self.is_allocated:
            listed = instance['pci_devices'] or ()
            if all(device.id != self.row.id for device in listed):
                instance = None
        self.row.free(instance)
        self.is_released = True

    def hand_back(self) -> Any:
        """Make the row Nova's own, unsaved, and return it."""
        self.row.extra_info = {
            key: value
            for key, value in self.row.extra_info.items()
            if key not in (DEVICE, CLAIM, FLAVOR, NETWORK)
        }
        return self.row

    def save(self, context: Any) -> None:
        """Save what changed."""
        with self.row.obj_alternate_context(context):
            if self.row.obj_what_changed():
                self.row.save()

    def delete(self, context: Any) -> None:
        """Delete the row, which was saved as released before."""
        with self.row.obj_alternate_context(context):
            if self.row.status == pci.PciDeviceStatus.AVAILABLE:
                self.row.remove()
            try:
                self.row.save()
            except pci.PciDeviceNotFound:
                # Somebody else has tidied up.
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
            # As Nova's libvirt driver names them.
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
