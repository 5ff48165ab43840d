# SPDX-License-Identifier: Apache-2.0
"""A PCI function of one host: what it is, and whose it is."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields

#: A function's hardware facts: everything the agent finds out by itself.
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

#: What an agent reports: the hardware, and what pci_information says of it.
REPORTED_FIELDS = (*HARDWARE_FIELDS, 'extra_info', 'offered_by')

#: Those of them that agents of an earlier release do not know.
_LATER_FIELDS = ('offered_by',)

#: Longest text of an entry that is kept; more is for the host's own log.
LONGEST_OFFERED_BY = 4096

#: Facts that cannot be seen while a guest has the device: the host's driver
#: is unbound and takes the network interface along.
HIDDEN_IN_GUESTS = (
    'driver',
    'devname',
    'mac_address',
    'link_speed',
    'iommu_group',
    'capabilities',
)

#: Drivers that only hold a device for a guest. Variants for one kind of
#: hardware are named after it: mlx5_vfio_pci, nvgrace_gpu_vfio_pci.
_PASSTHROUGH_DRIVERS = ('vfio-pci', 'pci-stub')
_VARIANT_DRIVER = '_vfio_pci'


@ovo_base.VersionedObjectRegistry.register
class PciDevice(base.PciPassthroughObject):
    """One PCI function.

    An agent sets only ``REPORTED_FIELDS``; the rest is the conductor's.
    """

    # Version 1.0: Initial version
    # Version 1.1: Added offered_by
    VERSION = '1.1'

    fields = {
        #: ``dddd:bb:ss.f``; with the host, the device's identity
        'address': fields.PciAddressField(),
        #: the physical function's address, for virtual functions and vdpa
        'parent_addr': fields.PciAddressField(nullable=True),
        'dev_type': ovo_fields.EnumField(fields.DevType.ALL),
        'vendor_id': fields.HexIdField(),
        'product_id': fields.HexIdField(),
        'subsystem_vendor_id': fields.HexIdField(nullable=True),
        'subsystem_id': fields.HexIdField(nullable=True),
        'pci_class': fields.PciClassField(),
        #: the host's driver, None if none is bound
        'driver': ovo_fields.StringField(nullable=True),
        'numa_node': ovo_fields.IntegerField(nullable=True),
        #: changes with a rebind: never an identity
        'iommu_group': ovo_fields.IntegerField(nullable=True),
        #: network interface name on the host
        'devname': ovo_fields.StringField(nullable=True),
        #: changes with a rebind on some drivers: never an identity
        'mac_address': ovo_fields.StringField(nullable=True),
        #: Mbit/s of the network link, None if down or no NIC
        'link_speed': ovo_fields.IntegerField(nullable=True),
        #: how many virtual functions the hardware can have
        'total_vfs': ovo_fields.IntegerField(nullable=True),
        #: offload features of a NIC as libvirt names them, sorted
        'capabilities': ovo_fields.ListOfStringsField(),
        #: tags of the pci_information entry that offers the device
        'extra_info': ovo_fields.DictOfStringsField(),
        #: that entry, as JSON; None: the agent does not tell it
        'offered_by': ovo_fields.StringField(nullable=True),
        'uuid': ovo_fields.UUIDField(),
        'host': ovo_fields.StringField(),
        'status': ovo_fields.EnumField(fields.DeviceStatus.ALL),
        'presence': ovo_fields.EnumField(fields.Presence.ALL),
        #: why an operator took it out of service, None if in service
        'disabled_reason': ovo_fields.StringField(nullable=True),
        'instance_uuid': ovo_fields.UUIDField(nullable=True),
        #: which of the instance's requests it serves
        'request_id': ovo_fields.StringField(nullable=True),
        #: the PCI flavor that it was given for
        'pci_flavor_uuid': ovo_fields.UUIDField(nullable=True),
        'created_at': ovo_fields.DateTimeField(nullable=True),
        'updated_at': ovo_fields.DateTimeField(nullable=True),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Leave out what an older peer does not know."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 1):
            primitive.pop('offered_by', None)

    def reported(self) -> dict[str, Any]:
        """Return what an agent says of the device.

        What it does not say because it is of an earlier release is None.
        """
        return {
            name: self.get(name)
            if name in _LATER_FIELDS
            else getattr(self, name)
            for name in REPORTED_FIELDS
        }

    @property
    def is_bound_to_host(self) -> bool:
        """Whether a driver of the host has it, not one that serves guests.

        Only then its network interface and what depends on it are there to
        be seen.
        """
        driver = self.driver
        return driver is not None and not (
            driver in _PASSTHROUGH_DRIVERS or driver.endswith(_VARIANT_DRIVER)
        )

    @property
    def state(self) -> str:
        """The one word which operators see.

        ``missing`` and ``disabled`` hide a status without changing it: a
        device that comes back is what it was.
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
    """One line of the ledger: what happened to a device, by whom and why."""

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
