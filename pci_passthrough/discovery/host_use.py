# SPDX-License-Identifier: Apache-2.0
"""Decides which PCI functions the host needs for itself. Pure.

Giving such a function to a guest takes the host's disk or network away, so
whatever cannot be told counts as used. What is looked at:

* storage: mounted file systems, active swap, members of what is stacked
  upon disks (device-mapper, RAID, LVM, bcache, ZFS, Ceph), through
  partitions and NVMe multipath down to the controllers;
* network: interfaces with an IPv4 route or an IPv6 address, members of a
  bridge, bond, team or Open vSwitch, and interfaces below such ones;
* a physical function with a virtual function in such use, because the
  virtual function goes away with it. Not the other way round: the virtual
  functions of a PF that carries the host's address can be given away;
* the boot VGA device while it shows a framebuffer console. A second GPU
  which merely has a framebuffer is free.

Not seen: storage that is reached over the network (iSCSI, NVMe over
fabrics), interfaces which were moved to another network namespace, and
programs that drive a device from user space (DPDK, SPDK, a guest's disk
that is a raw block device).
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import ipaddress

#: Begins every reason that stands for missing knowledge.
CANNOT_TELL = 'cannot tell whether the host uses it: '

#: ``ID_FS_TYPE`` (libblkid) of members whose use needs no holder and no
#: mount: their owner opens them directly, or is not active just now.
_MEMBER_SIGNATURES = frozenset(
    ('LVM2_member', 'zfs_member', 'bcache', 'ceph_bluestore', 'drbd')
)
_RAID_SIGNATURE = '_raid_member'

#: Base and sub classes which may have disks behind them: mass storage, SD
#: host, FireWire, USB, Fibre Channel.
_STORAGE_CLASSES = ('01', '0805', '0c00', '0c03', '0c04')
_NETWORK_CLASSES = ('02',)

#: File systems which show an anonymous device number in mountinfo.
_POOLED_FILE_SYSTEMS = ('btrfs', 'bcachefs')

#: ``RTF_REJECT`` (linux/route.h): a route that leads nowhere.
_REJECT = 0x0200
_NO_IPV4 = '00000000'
_NO_IPV6 = '0' * 32


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """What sysfs says about one PCI function."""

    address: str
    #: six hexadecimal digits, None if unreadable
    pci_class: str | None = None
    subsystem_vendor_id: str | None = None
    subsystem_id: str | None = None
    driver: str | None = None
    #: ``sriov_totalvfs``, None if it is no physical function
    total_vfs: int | None = None
    #: the physical function's address, for virtual functions
    physical_function: str | None = None
    boot_vga: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk, partition or virtual block device of the host."""

    name: str
    #: ``major:minor``
    number: str
    #: a partition's disk
    disk: str | None = None
    #: block devices below a virtual one (``slaves`` in sysfs)
    lower: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    #: functions on the way to it, its own path only
    functions: tuple[str, ...] = ()
    #: device-mapper's name, as in ``/dev/mapper``
    mapper_name: str | None = None
    #: without medium (a card reader, an unused nbd)
    is_empty: bool = False
    #: udev has looked at the content
    is_probed: bool = False
    #: ``ID_FS_TYPE`` as udev found it
    signature: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the host."""

    name: str
    functions: tuple[str, ...] = ()
    #: bridge, bond, team or ``ovs-system`` which it belongs to
    master: str | None = None
    #: interfaces stacked upon it, the master included
    upper: tuple[str, ...] = ()
    #: ``vlan``, ``macvlan``, ``bridge`` …, empty for hardware
    kind: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class HostFacts:
    """All that was read below a host's root, at one time."""

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
    #: functions on the way to each framebuffer; none: a firmware's
    framebuffers: tuple[tuple[str, ...], ...] = ()
    #: what could not be read, None if all could
    unreadable: str | None = None


def uses(facts: HostFacts) -> dict[str, str]:
    """Return why the host needs a function, by address.

    :returns: an entry for each function which is in use or of which that
        cannot be told; a function of ``facts.functions`` without an entry
        is free.
    """
    if facts.unreadable is not None:
        reason = CANNOT_TELL + facts.unreadable
        return dict.fromkeys(facts.functions, reason)
    reasons: dict[str, str] = {}
    for found in (
        _storage_uses(facts),
        _network_uses(facts),
        _console_uses(facts),
    ):
        for addresses, reason in found:
            for address in addresses:
                reasons.setdefault(address, reason)
    for address, reason in sorted(reasons.items()):
        function = facts.functions.get(address)
        if function is not None and function.physical_function is not None:
            reasons.setdefault(
                function.physical_function,
                f'its virtual function {address} is in use: {reason}',
            )
    return reasons


_Uses = Iterator[tuple[Iterable[str], str]]


def _storage_uses(facts: HostFacts) -> _Uses:
    blocks = facts.block_devices
    for name, reason in (*_mounts(facts), *_swaps(facts)):
        if name in blocks:
            yield _functions_below(blocks, name), f'its disk {reason}'
        elif not blocks:
            # Every living block device is in sysfs; a device that is
            # missing among others was pulled out under its file system.
            yield (
                _of_class(facts, _STORAGE_CLASSES),
                f'{CANNOT_TELL}sysfs shows no disks, but {reason}',
            )
    for block in blocks.values():
        if not block.functions or block.is_empty:
            continue
        for reason in _member_reasons(block):
            yield _functions_below(blocks, block.name), reason


def _member_reasons(block: BlockDevice) -> Iterator[str]:
    signature = block.signature or ''
    if block.holders:
        yield f'its disk {block.name} is held by {", ".join(block.holders)}'
    elif signature in _MEMBER_SIGNATURES or signature.endswith(
        _RAID_SIGNATURE
    ):
        yield f'its disk {block.name} is a {signature}'
    elif not block.is_probed:
        yield (
            f'{CANNOT_TELL}/run/udev/data has no record of what is on '
            f'{block.name}'
        )


def _mounts(facts: HostFacts) -> Iterator[tuple[str, str]]:
    """Yield (block device name, what is done with it) for each mount."""
    by_number = {
        block.number: block.name for block in facts.block_devices.values()
    }
    zfs_seen = any(
        block.signature == 'zfs_member'
        for block in facts.block_devices.values()
    )
    for line in facts.mountinfo.splitlines():
        mount, _, super_block = line.partition(' - ')
        words, source = mount.split(), super_block.split()
        if len(words) < 5 or len(source) < 2:
            continue
        number, mount_point = words[2], words[4]
        if number in by_number:
            name = by_number[number]
            yield name, f'{name} is mounted at {mount_point}'
        elif not number.startswith('0:'):
            yield number, f'block device {number} is mounted at {mount_point}'
        elif source[0] in _POOLED_FILE_SYSTEMS:
            for path in source[1].split(':'):
                name = _block_name(facts.block_devices, path)
                yield name, f'{name} is mounted at {mount_point}'
        elif source[0] == 'zfs' and not zfs_seen:
            yield source[1], f'ZFS {source[1]} is mounted at {mount_point}'
    for name in facts.btrfs_members:
        yield name, f'{name} belongs to a mounted Btrfs'


def _swaps(facts: HostFacts) -> Iterator[tuple[str, str]]:
    for line in facts.swaps.splitlines()[1:]:
        words = line.split()
        # A swap file is in a mounted file system.
        if len(words) > 1 and words[1] == 'partition':
            name = _block_name(facts.block_devices, words[0])
            yield name, f'{name} is swap space'


def _block_name(blocks: Mapping[str, BlockDevice], path: str) -> str:
    """Return the kernel's name of a block device's path in ``/dev``."""
    name = path.rpartition('/')[2]
    for block in blocks.values():
        if block.mapper_name == name:
            return block.name
    return name


def _functions_below(
    blocks: Mapping[str, BlockDevice], name: str
) -> Iterator[str]:
    """Yield the functions which a block device's data pass through."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        name = todo.pop()
        block = blocks.get(name)
        if block is None or name in seen:
            continue
        seen.add(name)
        yield from block.functions
        todo.extend(block.lower)
        if block.disk is not None:
            todo.append(block.disk)


def _network_uses(facts: HostFacts) -> _Uses:
    carries = dict(_addressed_interfaces(facts))
    for interface in facts.interfaces.values():
        if not interface.functions:
            continue
        reason = _interface_use(facts.interfaces, carries, interface.name)
        if reason is not None:
            yield (
                interface.functions,
                f'its network interface {interface.name} {reason}',
            )
    for name in sorted(carries.keys() - facts.interfaces.keys()):
        yield (
            _of_class(facts, _NETWORK_CLASSES),
            f'{CANNOT_TELL}network interface {name} {carries[name]}, but '
            'sysfs does not show it',
        )


def _interface_use(
    interfaces: Mapping[str, Interface], carries: Mapping[str, str], name: str
) -> str | None:
    """Return what an interface is used for, None if for nothing."""
    if name in carries:
        return carries[name]
    interface = interfaces.get(name)
    if interface is None:
        return None
    if interface.master is not None:
        return f'belongs to {interface.master}'
    for upper in interface.upper:
        kind = interfaces[upper].kind if upper in interfaces else ''
        if kind != 'vlan':
            # Others bring traffic of their own, a macvtap a guest's.
            return f'carries {upper}'
        reason = _interface_use(interfaces, carries, upper)
        if reason is not None:
            return f'carries {upper}, which {reason}'
    return None


def _addressed_interfaces(facts: HostFacts) -> Iterator[tuple[str, str]]:
    """Yield (interface, what it carries); the last of a name says most.

    procfs does not tell the IPv4 addresses of an interface. The main
    table's routes do instead: each address has the route to its network.
    """
    for line in facts.ipv6_addresses.splitlines():
        words = line.split()
        if len(words) == 6 and words[5] != 'lo':
            address = ipaddress.IPv6Address(bytes.fromhex(words[0]))
            if not address.is_link_local:
                yield words[5], f'carries the address {address}'
    default_routes = []
    for name, is_default in _ipv4_routes(facts.ipv4_routes):
        yield name, 'carries an IPv4 address or route'
        if is_default:
            default_routes.append(name)
    default_routes.extend(_ipv6_default_routes(facts.ipv6_routes))
    for name in default_routes:
        yield name, 'carries the default route'


def _ipv4_routes(table: str) -> Iterator[tuple[str, bool]]:
    """Yield (interface, is the default route) of ``/proc/net/route``."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or words[0] == 'lo' or int(words[3], 16) & _REJECT:
            continue
        yield words[0], words[1] == words[7] == _NO_IPV4


def _ipv6_default_routes(table: str) -> Iterator[str]:
    """Yield interfaces with a default route of ``/proc/net/ipv6_route``."""
    for line in table.splitlines():
        words = line.split()
        if len(words) != 10 or words[9] == 'lo' or int(words[8], 16) & _REJECT:
            continue
        if words[0] == _NO_IPV6 and words[1] == '00':
            yield words[9]


def _console_uses(facts: HostFacts) -> _Uses:
    for function in facts.functions.values():
        if function.boot_vga and any(
            not framebuffer or function.address in framebuffer
            for framebuffer in facts.framebuffers
        ):
            yield (function.address,), "it shows the host's console"


def _of_class(facts: HostFacts, classes: tuple[str, ...]) -> list[str]:
    """Return the functions that are, or may be, of one of these classes."""
    return [
        function.address
        for function in facts.functions.values()
        if function.pci_class is None or function.pci_class.startswith(classes)
    ]
