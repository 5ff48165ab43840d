# SPDX-License-Identifier: Apache-2.0
"""Data that ``sysfs_reader`` reads; two stages evaluate it. Pure.

``in_use`` decides whether the host uses a function, ``deliverable`` whether a
guest can have it.
"""

from collections.abc import Mapping
import dataclasses
import enum
import re

_ADDRESS = re.compile(
    r'[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]', re.ASCII
)


def functions_in(path: str) -> tuple[str, ...]:
    """Return all PCI addresses in a sysfs path.

    A path contains bridges, which are never offered, and may contain a VMD
    controller, which must not be offered either.
    """
    return tuple(part for part in path.split('/') if _ADDRESS.fullmatch(part))


class Subject(enum.Enum):
    """The kind of devices that a fact is about."""

    STORAGE = 'storage'
    NETWORK = 'network'
    DISPLAY = 'display'
    #: one PCI function of any kind
    FUNCTION = 'PCI'


@dataclasses.dataclass(frozen=True, slots=True)
class Unreadable:
    """A fact that could not be read."""

    #: the error, a text for people
    error: str
    subject: Subject
    #: addresses of the functions that the fact is about; None if it could be
    #: about any function of the subject
    functions: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """A PCI function's properties in sysfs."""

    address: str
    #: class code of six hexadecimal digits, None if unreadable
    pci_class: str | None = None
    subsystem_vendor_id: str | None = None
    subsystem_id: str | None = None
    driver: str | None = None
    #: ``sriov_totalvfs``, None if the function is no physical function
    total_vfs: int | None = None
    #: the address of a virtual function's physical function
    physical_function: str | None = None
    boot_vga: bool = False
    #: number of the IOMMU group, None if the function is in no group
    iommu_group: int | None = None
    #: whether sysfs shows a bus behind it: a bridge for PCI or CardBus
    has_secondary_bus: bool = False
    #: whether mediated devices (mdev) of the function exist
    has_mediated_devices: bool = False
    #: whether mediated devices can be created on the function
    supports_mediated_devices: bool = False
    #: NVIDIA's ``current_vgpu_type``, ``0`` for none; None if there is no
    #: such file
    vgpu_type: str | None = None


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
    #: addresses of the PCI functions in the device's own sysfs path
    functions: tuple[str, ...] = ()
    #: device-mapper's name, as in ``/dev/mapper``
    mapper_name: str | None = None
    #: whether it has no medium (a card reader, an unused nbd)
    is_empty: bool = False
    #: whether udev has probed the content
    is_probed: bool = False
    #: ``ID_FS_TYPE`` in udev's database
    signature: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the host."""

    name: str
    #: addresses of the PCI functions in the interface's sysfs path
    functions: tuple[str, ...] = ()
    #: the bridge, bond, team or ``ovs-system`` that it is a port of
    master: str | None = None
    #: interfaces stacked upon it, including the master
    upper: tuple[str, ...] = ()
    #: ``vlan``, ``macvlan``, ``bridge`` …, empty for hardware
    kind: str = ''


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
    #: content of ``/proc/1/net/route``, ``if_inet6`` and ``ipv6_route``
    ipv4_routes: str = ''
    ipv6_addresses: str = ''
    ipv6_routes: str = ''
    #: addresses of the PCI functions in each framebuffer's sysfs path; an
    #: empty tuple is a framebuffer of the firmware
    framebuffers: tuple[tuple[str, ...], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
