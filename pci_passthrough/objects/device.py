# SPDX-License-Identifier: Apache-2.0
"""A PCI function of one host: its hardware, its state and its holder."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields

#: Facts about the hardware, which the agent reads from libvirt and sysfs.
HARDWARE_FIELDS = (
    'address',
    'parent_addr',
    'dev_type',
    'vendor_id',
    'product_id',
    'subsystem_vendor_id',
    'subsystem_id',
    'pci_class',
    'driver',
    'numa_node',
    'iommu_group',
    'devname',
    'mac_address',
    'link_speed',
    'total_vfs',
    'capabilities',
)

#: All fields that an agent reports: the hardware, and the extra info and the
#: entry of pci_information.
REPORTED_FIELDS = (*HARDWARE_FIELDS, 'extra_info', 'offered_by')

#: Reported fields that agents of earlier releases do not send.
_LATER_FIELDS = ('offered_by',)

#: Longest text of an entry that is stored; longer ones are cut.
LONGEST_OFFERED_BY = 4096

#: Facts that are invisible while a guest has the device: the host's driver is
#: unbound then, and the network interface is gone.
HIDDEN_IN_GUESTS = (
    'driver',
    'devname',
    'mac_address',
    'link_speed',
    'iommu_group',
    'capabilities',
)

#: Drivers that only reserve a device for a guest. Variants for certain
#: hardware have its name in theirs: mlx5_vfio_pci, nvgrace_gpu_vfio_pci.
_PASSTHROUGH_DRIVERS = ('vfio-pci', 'pci-stub')
_VARIANT_DRIVER = '_vfio_pci'


@ovo_base.VersionedObjectRegistry.register
class PciDevice(base.PciPassthroughObject):
    """One PCI function.

    An agent sets only ``REPORTED_FIELDS``; the conductor sets the others.
    """

    # Version 1.0: Initial version
    # Version 1.1: Added offered_by
    VERSION = '1.1'

    fields = {
        #: ``dddd:bb:ss.f``; host and address identify the device
        'address': fields.PciAddressField(),
        #: the physical function's address, for virtual functions and vdpa
        'parent_addr': fields.PciAddressField(nullable=True),
        'dev_type': ovo_fields.EnumField(fields.DevType.ALL),
        'vendor_id': fields.HexIdField(),
        'product_id': fields.HexIdField(),
        'subsystem_vendor_id': fields.HexIdField(nullable=True),
        'subsystem_id': fields.HexIdField(nullable=True),
        'pci_class': fields.PciClassField(),
        #: the driver on the host; None means that none is bound
        'driver': ovo_fields.StringField(nullable=True),
        'numa_node': ovo_fields.IntegerField(nullable=True),
        #: changes with a rebind: never an identity
        'iommu_group': ovo_fields.IntegerField(nullable=True),
        #: network interface name on the host
        'devname': ovo_fields.StringField(nullable=True),
        #: changes with a rebind on some drivers: never an identity
        'mac_address': ovo_fields.StringField(nullable=True),
        #: Mbit/s of the network link; None if it is down or there is none
        'link_speed': ovo_fields.IntegerField(nullable=True),
        #: how many virtual functions the hardware supports
        'total_vfs': ovo_fields.IntegerField(nullable=True),
        #: offload features of a NIC as libvirt names them, sorted
        'capabilities': ovo_fields.ListOfStringsField(),
        #: extra info of the pci_information entry that offers the device
        'extra_info': ovo_fields.DictOfStringsField(),
        #: that entry, as JSON; None if the agent does not send it
        'offered_by': ovo_fields.StringField(nullable=True),
        'uuid': ovo_fields.UUIDField(),
        'host': ovo_fields.StringField(),
        'status': ovo_fields.EnumField(fields.DeviceStatus.ALL),
        'presence': ovo_fields.EnumField(fields.Presence.ALL),
        #: why an operator took it out of service; None means in service
        'disabled_reason': ovo_fields.StringField(nullable=True),
        'instance_uuid': ovo_fields.UUIDField(nullable=True),
        #: the request of the instance that it serves
        'request_id': ovo_fields.StringField(nullable=True),
        #: the PCI flavor by which it was claimed
        'pci_flavor_uuid': ovo_fields.UUIDField(nullable=True),
        'created_at': ovo_fields.DateTimeField(nullable=True),
        'updated_at': ovo_fields.DateTimeField(nullable=True),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Remove the fields that an older peer does not know."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 1):
            primitive.pop('offered_by', None)

    def reported(self) -> dict[str, Any]:
        """Return the fields that an agent reports.

        Fields that an agent of an earlier release does not send are None.
        """
        return {
            name: self.get(name)
            if name in _LATER_FIELDS
            else getattr(self, name)
            for name in REPORTED_FIELDS
        }

    @property
    def is_bound_to_host(self) -> bool:
        """Whether a driver of the host has the device, and no guest's driver.

        Only then the host has its network interface.
        """
        driver = self.driver
        return driver is not None and not (
            driver in _PASSTHROUGH_DRIVERS or driver.endswith(_VARIANT_DRIVER)
        )

    @property
    def state(self) -> str:
        """The device's state as operators see it, in one word.

        ``missing`` and ``disabled`` hide the status without changing it: a
        device that comes back has the same status as before.
        """
        if self.presence == fields.Presence.MISSING:
            return 'missing'
        if (
            self.disabled_reason is not None
            and self.status == fields.DeviceStatus.AVAILABLE
        ):
            return 'disabled'
        return str(self.status)


@ovo_base.VersionedObjectRegistry.register
class PciDeviceEvent(base.PciPassthroughObject):
    """One entry of the ledger: an action on a device, its actor and reason."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'device_uuid': ovo_fields.UUIDField(),
        'host': ovo_fields.StringField(),
        'address': fields.PciAddressField(),
        'created_at': ovo_fields.DateTimeField(),
        #: for example ``claim`` or ``appear``
        'action': ovo_fields.StringField(),
        'from_state': ovo_fields.StringField(nullable=True),
        'to_state': ovo_fields.StringField(nullable=True),
        #: a service and host, or an operator's user name
        'actor': ovo_fields.StringField(),
        'reason': ovo_fields.StringField(nullable=True),
        'instance_uuid': ovo_fields.UUIDField(nullable=True),
    }
