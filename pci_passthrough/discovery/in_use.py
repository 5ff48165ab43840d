# SPDX-License-Identifier: Apache-2.0
"""Decides which PCI functions the host itself uses. Pure.

A guest that gets such a function takes the host's disk or network away.
Therefore a function counts as used if a fact about it could not be read. An
unreadable interface or disk is a fact about the functions in its sysfs path,
an unreadable mount table about all storage controllers, and so on. These uses
are detected:

* storage: mounted file systems, active swap, and disks that are members of
  device-mapper, RAID, LVM, bcache, ZFS or Ceph, through partitions and NVMe
  multipath down to the controllers;
* network: interfaces with an IPv4 route or an IPv6 address, ports of a
  bridge, bond, team or Open vSwitch, and the interfaces below all of these;
* a physical function with a used virtual function, because the virtual
  function disappears with its physical function. The virtual functions of a
  used physical function can be offered;
* the boot VGA device while it shows a framebuffer console. Another GPU with
  a framebuffer is not used.

Not detected: storage that is reached over the network (iSCSI, NVMe over
fabrics), interfaces in another network namespace, and user-space drivers
(DPDK, SPDK, a raw block device that is a guest's disk).
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import ipaddress

from pci_passthrough.discovery import host_facts

#: Prefix of the reasons that mean that the facts are incomplete.
USE_UNKNOWN = 'unknown whether the host uses it: '

#: ``ID_FS_TYPE`` (libblkid) of members that can be in use without holder and
#: mount: a program opens them directly, or the volume is not active now.
_MEMBER_SIGNATURES = frozenset(
    ('LVM2_member', 'zfs_member', 'bcache', 'ceph_bluestore', 'drbd')
)
_RAID_SIGNATURE = '_raid_member'

#: Classes and subclasses of controllers that can have disks: mass storage,
#: SD host, FireWire, USB, Fibre Channel.
_STORAGE_CLASSES = ('01', '0805', '0c00', '0c03', '0c04')
_NETWORK_CLASSES = ('02',)
_CLASSES = {
    host_facts.Subject.STORAGE: _STORAGE_CLASSES,
    host_facts.Subject.NETWORK: _NETWORK_CLASSES,
    host_facts.Subject.DISPLAY: ('03',),
    host_facts.Subject.FUNCTION: ('',),
}

#: File systems with an anonymous device number in mountinfo.
_POOLED_FILE_SYSTEMS = ('btrfs', 'bcachefs')

#: ``RTF_REJECT`` (linux/route.h): packets on this route are rejected.
_REJECT = 0x0200
_NO_IPV4 = '00000000'
_NO_IPV6 = '0' * 32


def reasons_in_use(facts: host_facts.HostFacts) -> dict[str, str]:
    """Return the reasons why the host uses functions, by address.

    :returns: a reason for each function that is used, or that could be used
        because facts are missing. Functions of ``facts.functions`` without a
        reason are not used.
    """
    reasons: dict[str, str] = {}
    for uses in (
        _unknown_uses(facts),
        _storage_uses(facts),
        _network_uses(facts),
        _console_uses(facts),
    ):
        for addresses, reason in uses:
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


#: (addresses of functions, reason) for each use
_Uses = Iterator[tuple[Iterable[str], str]]


def _unknown_uses(facts: host_facts.HostFacts) -> _Uses:
    """Yield the functions behind each fact that could not be read."""
    for unreadable in facts.unreadable:
        functions: Iterable[str]
        if unreadable.functions is not None:
            functions = unreadable.functions
        else:
            functions = _of_class(facts, _CLASSES[unreadable.subject])
        yield functions, USE_UNKNOWN + unreadable.error


def _storage_uses(facts: host_facts.HostFacts) -> _Uses:
    blocks = facts.block_devices
    for name, reason in (*_mounts(facts), *_swaps(facts)):
        if name in blocks:
            yield _functions_below(blocks, name), f'its disk {reason}'
        elif not blocks:
            # Every existing block device is in sysfs. If only this one is
            # missing, it was unplugged while its file system was mounted.
            yield (
                _of_class(facts, _STORAGE_CLASSES),
                f'{USE_UNKNOWN}sysfs shows no disks, but {reason}',
            )
    for block in blocks.values():
        if not block.functions or block.is_empty:
            continue
        for reason in _member_reasons(block):
            yield _functions_below(blocks, block.name), reason


def _member_reasons(block: host_facts.BlockDevice) -> Iterator[str]:
    signature = block.signature or ''
    if block.holders:
        yield f'its disk {block.name} is held by {", ".join(block.holders)}'
    elif signature in _MEMBER_SIGNATURES or signature.endswith(
        _RAID_SIGNATURE
    ):
        yield f'its disk {block.name} is a {signature}'
    elif not block.is_probed:
        yield (
            f'{USE_UNKNOWN}/run/udev/data has no record of what is on '
            f'{block.name}'
        )


def _mounts(facts: host_facts.HostFacts) -> Iterator[tuple[str, str]]:
    """Yield (block device name, phrase with its mount point) per mount."""
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


def _swaps(facts: host_facts.HostFacts) -> Iterator[tuple[str, str]]:
    for line in facts.swaps.splitlines()[1:]:
        words = line.split()
        # The disk of a swap file is used by the file system's mount.
        if len(words) > 1 and words[1] == 'partition':
            name = _block_name(facts.block_devices, words[0])
            yield name, f'{name} is swap space'


def _block_name(
    blocks: Mapping[str, host_facts.BlockDevice], path: str
) -> str:
    """Return the kernel's name for a block device's path in ``/dev``."""
    name = path.rpartition('/')[2]
    for block in blocks.values():
        if block.mapper_name == name:
            return block.name
    return name


def _functions_below(
    blocks: Mapping[str, host_facts.BlockDevice], name: str
) -> Iterator[str]:
    """Yield the functions through which a block device is accessed."""
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


def _network_uses(facts: host_facts.HostFacts) -> _Uses:
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
            f'{USE_UNKNOWN}network interface {name} {carries[name]}, but '
            'sysfs does not show it',
        )


def _interface_use(
    interfaces: Mapping[str, host_facts.Interface],
    carries: Mapping[str, str],
    name: str,
) -> str | None:
    """Return the use of an interface as a phrase, None if it is not used."""
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
            # Unlike a VLAN without address, others carry traffic in any
            # case: a macvtap that of a guest.
            return f'carries {upper}'
        reason = _interface_use(interfaces, carries, upper)
        if reason is not None:
            return f'carries {upper}, which {reason}'
    return None


def _addressed_interfaces(
    facts: host_facts.HostFacts,
) -> Iterator[tuple[str, str]]:
    """Yield (interface, phrase with its address or route).

    If an interface is yielded more than once, the last phrase is the most
    informative one. procfs does not show the IPv4 addresses of an interface.
    The main table's routes are used instead: each address has the route to
    its network.
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
    """Yield (interface, is default route) for each IPv4 route.

    :param table: content of ``/proc/net/route``.
    """
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or words[0] == 'lo' or int(words[3], 16) & _REJECT:
            continue
        yield words[0], words[1] == words[7] == _NO_IPV4


def _ipv6_default_routes(table: str) -> Iterator[str]:
    """Yield the interfaces of IPv6 default routes.

    :param table: content of ``/proc/net/ipv6_route``.
    """
    for line in table.splitlines():
        words = line.split()
        if len(words) != 10 or words[9] == 'lo' or int(words[8], 16) & _REJECT:
            continue
        if words[0] == _NO_IPV6 and words[1] == '00':
            yield words[9]


def _console_uses(facts: host_facts.HostFacts) -> _Uses:
    for function in facts.functions.values():
        if function.boot_vga and any(
            not framebuffer or function.address in framebuffer
            for framebuffer in facts.framebuffers
        ):
            yield (function.address,), "it shows the host's console"


def _of_class(
    facts: host_facts.HostFacts, classes: tuple[str, ...]
) -> list[str]:
    """Return the functions of some classes, and those of unknown class."""
    return [
        function.address
        for function in facts.functions.values()
        if function.pci_class is None or function.pci_class.startswith(classes)
    ]
