# SPDX-License-Identifier: Apache-2.0
"""Data that ``sysfs_reader`` reads; two stages evaluate it. Pure.

``in_use`` decides whether the host uses a function, ``deliverable`` whether a
guest can have it.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum
import re

#: The addresses and routes of a host that consists of files only, a simulated
#: one, as JSON: ``{"addresses": [{"interface": "eno1", "address":
#: "192.0.2.1/24"}], "routes": [{"destination": "default", "interfaces":
#: ["eno1"]}]}``.
RECORDED_NETWORK = 'run/pci-passthrough/network.json'

#: The content of ``current_vgpu_type`` of a virtual function without a type.
NO_VGPU_TYPE = '0'

#: ``dddd:bb:ss.f``, as the kernel writes it.
ADDRESS = re.compile(
    r'[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]', re.ASCII
)

#: A USB device: its bus and its port, with a port of each hub in between.
USB_DEVICE = re.compile(r'[1-9]\d*-\d+(?:\.\d+)*', re.ASCII)

_ROOT_HUB = re.compile(r'usb\d+', re.ASCII)


def functions_in(path: str) -> tuple[str, ...]:
    """Return all PCI addresses in a sysfs path.

    A path contains bridges, which are never offered, and may contain a VMD
    controller, which must not be offered either.
    """
    return tuple(part for part in path.split('/') if ADDRESS.fullmatch(part))


def devices_in(path: str) -> tuple[str, ...]:
    """Return all PCI addresses and the names of USB devices in a sysfs path.

    A USB device is below the root hub ``usb1`` of its bus. Thunderbolt and
    I2C have names of the same form elsewhere.
    """
    return tuple(_devices_in(path))


def _devices_in(path: str) -> Iterator[str]:
    is_below_root_hub = False
    for part in path.split('/'):
        if _ROOT_HUB.fullmatch(part):
            is_below_root_hub = True
        elif ADDRESS.fullmatch(part) or (
            is_below_root_hub and USB_DEVICE.fullmatch(part)
        ):
            yield part


class Subject(enum.Enum):
    """The kind of devices that a fact is about."""

    STORAGE = 'storage'
    NETWORK = 'network'
    DISPLAY = 'display'
    FIBRE_CHANNEL = 'Fibre Channel'
    #: one PCI function of any kind
    FUNCTION = 'PCI'


#: Classes and subclasses of the functions that a fact can be about. Disks are
#: behind mass storage, SD host, FireWire, USB or Fibre Channel controllers.
_CLASSES = {
    Subject.STORAGE: ('01', '0805', '0c00', '0c03', '0c04'),
    Subject.NETWORK: ('02',),
    Subject.DISPLAY: ('03',),
    Subject.FIBRE_CHANNEL: ('0c04',),
    Subject.FUNCTION: ('',),
}

#: Classes of USB interfaces (USB-IF, "Defined Class Codes") that a fact can
#: be about. Many network adapters have a class of their vendor.
_USB_CLASSES = {
    Subject.STORAGE: ('08', 'ff'),
    Subject.NETWORK: ('02', '0a', 'e0', 'ff'),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Unreadable:
    """A fact that could not be read."""

    #: the error, a text for people
    error: str
    subject: Subject
    #: addresses of the functions that the fact is about, and names of USB
    #: devices; None if it could be about any one of the subject
    functions: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """A PCI function's properties in sysfs."""

    address: str
    #: class code of six hexadecimal digits, None if unreadable
    pci_class: str | None = None
    vendor_id: str | None = None
    product_id: str | None = None
    subsystem_vendor_id: str | None = None
    subsystem_id: str | None = None
    driver: str | None = None
    #: ``sriov_totalvfs``, None if the function is no physical function
    total_vfs: int | None = None
    #: the address of a virtual function's physical function
    physical_function: str | None = None
    boot_vga: bool = False
    #: None if it is near no NUMA node
    numa_node: int | None = None
    #: number of the IOMMU group, None if the function is in no group
    iommu_group: int | None = None
    #: whether sysfs shows a bus behind it: a bridge for PCI or CardBus
    has_secondary_bus: bool = False
    #: whether mediated devices (mdev) of the function exist
    has_mediated_devices: bool = False
    #: whether mediated devices can be created on the function
    supports_mediated_devices: bool = False
    #: NVIDIA's ``current_vgpu_type``, ``NO_VGPU_TYPE`` for none; None if there
    #: is no such file
    vgpu_type: str | None = None
    #: whether VFIO has the function, and no node for its IOMMU group
    lacks_vfio_node: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk, partition or virtual block device of the host."""

    name: str
    #: ``major:minor``
    number: str
    #: name of a partition's disk
    disk: str | None = None
    #: block devices below a virtual block device (``slaves`` in sysfs)
    lower: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    #: addresses of the PCI functions in the device's own sysfs path, and names
    #: of USB devices
    functions: tuple[str, ...] = ()
    #: device-mapper's name, as in ``/dev/mapper``
    mapper_name: str | None = None
    #: whether it has no medium (a card reader, an unused nbd)
    is_empty: bool = False
    #: whether udev has probed the content
    is_probed: bool = False
    #: ``ID_FS_TYPE``, or else ``ID_FS_USAGE``, in udev's database
    signature: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the host."""

    name: str
    #: addresses of the PCI functions in the interface's sysfs path, and names
    #: of USB devices
    functions: tuple[str, ...] = ()
    #: the bridge, bond, team or ``ovs-system`` that it is a port of
    master: str | None = None
    #: interfaces stacked upon it, including the master
    upper: tuple[str, ...] = ()
    #: ``vlan``, ``macvlan``, ``bridge`` …, empty for hardware
    kind: str = ''
    #: number that the kernel counts up
    index: int = 0
    #: whether it is a child of the last of ``functions`` itself, and not of a
    #: device below, such as a subfunction
    is_direct: bool = True
    #: ``phys_port_name``, None if it is no port of a switch
    port_name: str | None = None
    #: ``phys_switch_id``
    switch_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """An address of a network interface."""

    interface: str
    #: with the prefix length, ``192.0.2.1/24`` or ``2001:db8::1/64``
    address: str


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """A route of any table, IPv4 or IPv6."""

    #: a network, or ``default``
    destination: str
    #: the interface of each next hop
    interfaces: tuple[str, ...]
    #: as in ip-route(8): ``unicast``, ``local``, ``blackhole`` …
    kind: str = 'unicast'


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """The addresses and routes of a host's network interfaces."""

    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    #: the interfaces of next-hop objects, which routes refer to
    next_hops: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteStorage:
    """Storage that is reached over an IP network."""

    #: a text for people, ``iSCSI connection1:0``
    name: str
    #: IP address, with a zone (``fe80::1%eth0``) if it has one
    server: str


@dataclasses.dataclass(frozen=True, slots=True)
class HostFacts:
    """The contents of sysfs, procfs and udev's database at one moment."""

    functions: Mapping[str, Function]
    block_devices: Mapping[str, BlockDevice]
    interfaces: Mapping[str, Interface]
    #: content of ``/proc/1/mountinfo``, see proc(5)
    mountinfo: str = ''
    #: content of ``/proc/swaps``
    swaps: str = ''
    #: block devices of mounted Btrfs file systems
    btrfs_members: tuple[str, ...] = ()
    network: Network = Network()
    remote_storage: tuple[RemoteStorage, ...] = ()
    #: NVMe controllers that are reached over Fibre Channel
    fibre_channel_nvme: tuple[str, ...] = ()
    #: addresses of the PCI functions in each framebuffer's sysfs path; an
    #: empty tuple is a framebuffer of the firmware
    framebuffers: tuple[tuple[str, ...], ...] = ()
    #: classes of the interfaces of USB devices, each of two hexadecimal
    #: digits, by the kernel's name of the device
    usb_devices: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    unreadable: tuple[Unreadable, ...] = ()

    def of_subject(self, subject: Subject) -> tuple[str, ...]:
        """Return the devices of a kind, and those of unknown class."""
        functions = tuple(
            function.address
            for function in self.functions.values()
            if function.pci_class is None
            or function.pci_class.startswith(_CLASSES[subject])
        )
        classes = _USB_CLASSES.get(subject, ())
        return functions + tuple(
            name
            for name, interfaces in self.usb_devices.items()
            if classes
            and (not interfaces or not set(classes).isdisjoint(interfaces))
        )
