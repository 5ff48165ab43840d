# SPDX-License-Identifier: Apache-2.0
"""A device of one host: its hardware, its state and its holder."""

import re
from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields

#: Facts about the hardware, which the agent reads from libvirt and sysfs.
HARDWARE_FIELDS = (
    'resource_type',
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
    'serial_number',
    'vgpu_type',
)

#: All fields that an agent reports: the hardware, the extra info and the
#: entry of pci_information, why the host refuses the device, and what
#: prepares it for the next instance.
REPORTED_FIELDS = (
    *HARDWARE_FIELDS,
    'extra_info',
    'offered_by',
    'refusal',
    'handlers',
    'on_failure',
)

#: Reported fields that agents of earlier releases do not send, and what is
#: true of their devices.
_LATER_FIELDS: dict[str, Any] = {
    'resource_type': fields.ResourceType.PCI,
    'serial_number': None,
    'vgpu_type': None,
    'offered_by': None,
    'refusal': None,
    'handlers': (),
    'on_failure': None,
}
LATER_FIELDS = tuple(_LATER_FIELDS)

#: Fields about the preparation of a device, which a conductor sets.
PREPARATION_FIELDS = (
    'preparation',
    'preparation_running',
    'preparation_step',
    'preparation_attempt',
    'preparation_since',
    'preparation_percent',
    'preparation_text',
    'quarantine_reason',
)

#: Fields about failed starts of its guests, which a conductor sets.
START_FIELDS = (
    'failed_starts',
    'failed_instances',
    'start_failed_for',
    'start_failure',
)

#: Facts that change by themselves. They are shown to operators, but their
#: changes are not reported by themselves and are not in the ledger.
PASSING_FIELDS = ('link_speed', 'devname')

#: Passing facts of virtual functions: whoever uses one may set its address.
_PASSING_FIELDS_OF_VFS = (*PASSING_FIELDS, 'mac_address')

#: Facts of HIDDEN_IN_GUESTS that some devices show nevertheless: vital product
#: data can always be read, and NVIDIA's driver may keep a vGPU function.
READ_IN_GUESTS = ('serial_number', 'vgpu_type')

#: Facts that are invisible while a guest has the device: the host's driver is
#: unbound then, and the network interface is gone.
HIDDEN_IN_GUESTS = (
    'driver',
    'devname',
    'mac_address',
    'link_speed',
    'capabilities',
    *READ_IN_GUESTS,
)

#: Drivers that only reserve a device for a guest. Variants for certain
#: hardware have its name in theirs: mlx5_vfio_pci, nvgrace_gpu_vfio_pci.
_PASSTHROUGH_DRIVERS = ('vfio-pci', 'pci-stub')
_VARIANT_DRIVER = '_vfio_pci'


#: Statuses in which nobody has a device. Handlers leave it alone, too, while
#: it is disabled.
_IDLE = (fields.DeviceStatus.AVAILABLE, fields.DeviceStatus.CLEANING)


def is_host_driver(driver: str | None) -> bool:
    """Return whether a driver uses a device on the host.

    :param driver: None means that no driver is bound.
    """
    return driver is not None and not (
        driver in _PASSTHROUGH_DRIVERS or driver.endswith(_VARIANT_DRIVER)
    )


@ovo_base.VersionedObjectRegistry.register
class PciDevice(base.PciPassthroughObject):
    """One device: a PCI function, or what ``resource_type`` says.

    What is no PCI function has only those of the words of PCI that make sense
    for it: a USB device has ``vendor_id`` and ``product_id``, a mediated
    device those of its parent.

    An agent sets only ``REPORTED_FIELDS``; the conductor sets the others.
    """

    # Version 1.0: Initial version
    # Version 1.1: Added offered_by
    # Version 1.2: Added serial_number, vgpu_type, refusal, confirm_new and
    #   conflict
    # Version 1.3: Added handlers, on_failure, PREPARATION_FIELDS and
    #   START_FIELDS
    # Version 1.4: Added resource_type; vendor_id, product_id, pci_class and
    #   dev_type may be None, and addresses may have other forms
    # Version 1.5: Added project_id
    VERSION = '1.5'

    fields = {
        #: of ``ResourceType``, or the name of another type
        'resource_type': ovo_fields.StringField(),
        #: within the host, in the form of its type: ``dddd:bb:ss.f`` for a
        #: PCI function; host and address identify the device
        'address': fields.DeviceAddressField(),
        #: the physical function's address, for virtual functions and vdpa;
        #: that of the function on which a mediated device is
        'parent_addr': fields.DeviceAddressField(nullable=True),
        #: None for what is no PCI function
        'dev_type': ovo_fields.EnumField(fields.DevType.ALL, nullable=True),
        #: None for what has no vendor, as ``product_id`` and ``pci_class``;
        #: never for a PCI function
        'vendor_id': fields.HexIdField(nullable=True),
        'product_id': fields.HexIdField(nullable=True),
        'subsystem_vendor_id': fields.HexIdField(nullable=True),
        'subsystem_id': fields.HexIdField(nullable=True),
        'pci_class': fields.PciClassField(nullable=True),
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
        #: of the vital product data or the NVMe controller, or the permanent
        #: MAC address of a physical function; None if it is unknown
        'serial_number': ovo_fields.StringField(nullable=True),
        #: number of the vGPU type that NVIDIA's driver has given to a virtual
        #: function; None if it has none
        'vgpu_type': ovo_fields.StringField(nullable=True),
        #: extra info of the pci_information entry that offers the device
        'extra_info': ovo_fields.DictOfStringsField(),
        #: that entry, as JSON; None if the agent does not send it
        'offered_by': ovo_fields.StringField(nullable=True),
        #: why the host refuses it although that entry matches it; None if
        #: the host does not refuse it
        'refusal': ovo_fields.StringField(nullable=True),
        #: whether that entry wants new hardware to be confirmed; only in
        #: reports, and only if it is True
        'confirm_new': ovo_fields.BooleanField(),
        #: names of the handlers that set it up and clean it, in their order;
        #: empty if nothing has to be done between two instances
        'handlers': ovo_fields.ListOfStringsField(),
        #: of ``OnFailure``; None means its first one
        'on_failure': ovo_fields.StringField(nullable=True),
        'uuid': ovo_fields.UUIDField(),
        'host': ovo_fields.StringField(),
        'status': ovo_fields.EnumField(fields.DeviceStatus.ALL),
        'presence': ovo_fields.EnumField(fields.Presence.ALL),
        #: why an operator took it out of service; None means in service
        'disabled_reason': ovo_fields.StringField(nullable=True),
        #: what is at the address of a held device instead of its hardware;
        #: None if nothing contradicts the record
        'conflict': ovo_fields.StringField(nullable=True),
        #: the fence of the newest preparation, a number that only grows:
        #: answers about an earlier preparation change nothing; None if there
        #: has been none
        'preparation': ovo_fields.IntegerField(nullable=True),
        #: the fence of the preparation at which the agent is at work; None
        #: if it has not begun, or has ended
        'preparation_running': ovo_fields.IntegerField(nullable=True),
        #: of ``PreparationStep``; None if it is ready for an instance
        'preparation_step': ovo_fields.StringField(nullable=True),
        #: the number of the attempt, from 1
        'preparation_attempt': ovo_fields.IntegerField(nullable=True),
        #: when the first attempt was due
        'preparation_since': ovo_fields.DateTimeField(nullable=True),
        #: progress of the attempt; None means unknown
        'preparation_percent': ovo_fields.IntegerField(nullable=True),
        #: what happens, or why the last attempt failed
        'preparation_text': ovo_fields.StringField(nullable=True),
        #: why it is quarantined; None also if nobody has said why
        'quarantine_reason': ovo_fields.StringField(nullable=True),
        #: how many instances have given it back after their guests could not
        #: be started, one after the other
        'failed_starts': ovo_fields.IntegerField(),
        #: UUIDs of different instances among them, the newest last
        'failed_instances': ovo_fields.ListOfStringsField(),
        #: the holder whose guest could not be started; None if it could
        'start_failed_for': ovo_fields.UUIDField(nullable=True),
        #: why a guest could not be started at last, in the words of libvirt
        'start_failure': ovo_fields.StringField(nullable=True),
        'instance_uuid': ovo_fields.UUIDField(nullable=True),
        #: the request of the instance that it serves
        'request_id': ovo_fields.StringField(nullable=True),
        #: the PCI flavor by which it was claimed
        'pci_flavor_uuid': ovo_fields.UUIDField(nullable=True),
        #: the project of the instance that holds it; None if nobody does, or
        #: if nova-compute has not told it yet
        'project_id': ovo_fields.StringField(nullable=True),
        'created_at': ovo_fields.DateTimeField(nullable=True),
        'updated_at': ovo_fields.DateTimeField(nullable=True),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Remove the fields that an older peer does not know."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 5):
            primitive.pop('project_id', None)
        if version < (1, 4):
            primitive.pop('resource_type', None)
        if version < (1, 3):
            later = (*PREPARATION_FIELDS, *START_FIELDS)
            for name in ('handlers', 'on_failure', *later):
                primitive.pop(name, None)
        if version < (1, 2):
            for name in (
                'serial_number',
                'vgpu_type',
                'refusal',
                'confirm_new',
                'conflict',
            ):
                primitive.pop(name, None)
        if version < (1, 1):
            primitive.pop('offered_by', None)

    def reported(self) -> dict[str, Any]:
        """Return the fields that an agent reports.

        Fields that an agent of an earlier release does not send are None, or
        empty.
        """
        fields = {n: self.get(n, v) for n, v in _LATER_FIELDS.items()}
        fields['handlers'] = list(fields['handlers'])
        return {
            name: fields[name] if name in fields else getattr(self, name)
            for name in REPORTED_FIELDS
        }

    def lasting(self) -> dict[str, Any]:
        """Return the reported fields whose changes are news."""
        is_vf = self.parent_addr is not None
        passing = _PASSING_FIELDS_OF_VFS if is_vf else PASSING_FIELDS
        return {
            name: value
            for name, value in self.reported().items()
            if name not in passing
        }

    def is_named_in(self, text: str) -> bool:
        """Return whether a text has the address, and not a longer one."""
        whole = rf'(?<![0-9a-f]){re.escape(str(self.address))}'
        return re.search(whole, text, re.ASCII) is not None

    @property
    def is_bound_to_host(self) -> bool:
        """Whether a driver of the host has the device, and no guest's driver.

        Only then the host has its network interface.
        """
        return is_host_driver(self.driver)

    @property
    def is_fresh(self) -> bool:
        """Whether no instance has it, nor has left anything on it.

        It is available, or its handlers set it up because it is offered for
        the first time or again. A device that an instance has given back is
        not fresh until it was cleaned, nor is a quarantined one.
        """
        return bool(
            self.status == fields.DeviceStatus.AVAILABLE
            or (
                self.status == fields.DeviceStatus.CLEANING
                and self.get('preparation_step')
                == fields.PreparationStep.SETUP
            )
        )

    @property
    def state(self) -> str:
        """The device's state as operators see it, in one word.

        ``conflict``, ``missing``, ``disabled`` and ``refused`` hide the
        status without changing it: a device that comes back has the same
        status as before.
        """
        if self.get('conflict') is not None:
            return 'conflict'
        if self.presence == fields.Presence.MISSING:
            return 'missing'
        if self.disabled_reason is not None and self.status in _IDLE:
            return 'disabled'
        if (
            self.get('refusal') is not None
            and self.presence == fields.Presence.WITHDRAWN
            and self.status == fields.DeviceStatus.AVAILABLE
        ):
            return 'refused'
        return str(self.status)


@ovo_base.VersionedObjectRegistry.register
class PciDeviceEvent(base.PciPassthroughObject):
    """One entry of the ledger: an action on a device, its actor and reason."""

    # Version 1.0: Initial version
    # Version 1.1: The address may have other forms than that of PCI
    VERSION = '1.1'

    fields = {
        'device_uuid': ovo_fields.UUIDField(),
        'host': ovo_fields.StringField(),
        'address': fields.DeviceAddressField(),
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


def described(**facts: Any) -> PciDevice:
    """Return a device with some facts about its hardware.

    ``REPORTED_FIELDS`` are set; those that are not given are empty.
    """
    empty = dict.fromkeys(REPORTED_FIELDS) | {
        'resource_type': fields.ResourceType.PCI,
        'capabilities': [],
        'extra_info': {},
        'handlers': [],
    }
    return PciDevice(**(empty | facts))
