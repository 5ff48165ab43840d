# SPDX-License-Identifier: Apache-2.0
"""Decides which functions the host uses for its disks. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import use

#: ``ID_FS_TYPE`` (libblkid) of members that can be in use without holder and
#: mount, because a program opens them directly.
_OPENED_DIRECTLY = ('zfs_member', 'bcache', 'ceph_bluestore', 'drbd')

#: File systems with an anonymous device number in mountinfo.
_POOLED_FILE_SYSTEMS = ('btrfs', 'bcachefs')


def uses(facts: host_facts.HostFacts) -> Iterator[use.Use]:
    """Yield the uses of storage controllers."""
    for name in facts.fibre_channel_nvme:
        yield use.Use(
            facts.of_subject(host_facts.Subject.FIBRE_CHANNEL),
            f'{name} is an NVMe controller over Fibre Channel',
        )
    blocks = facts.block_devices
    for name, reason in (*_mounts(facts), *_swaps(facts)):
        if name in blocks:
            yield use.Use(_functions_below(blocks, name), f'its disk {reason}')
        elif not blocks:
            # Every existing block device is in sysfs. If only this one is
            # missing, it was unplugged while its file system was mounted.
            yield use.Use(
                facts.of_subject(host_facts.Subject.STORAGE),
                f'sysfs shows no disks, but {reason}',
                use.Certainty.UNKNOWN,
            )
    for block in blocks.values():
        if not block.functions or block.is_empty:
            continue
        reason_and_certainty = _content(block)
        if reason_and_certainty is not None:
            yield use.Use(
                _functions_below(blocks, block.name), *reason_and_certainty
            )


def _content(
    block: host_facts.BlockDevice,
) -> tuple[str, use.Certainty] | None:
    """Return what a disk is used for that nobody has mounted."""
    if block.holders:
        return (
            f'its disk {block.name} is held by {", ".join(block.holders)}',
            use.Certainty.USED,
        )
    if block.signature:
        return (
            f'its disk {block.name} has the label {block.signature}',
            use.Certainty.MEMBER
            if block.signature in _OPENED_DIRECTLY
            else use.Certainty.LABELLED,
        )
    if not block.is_probed:
        return (
            f'/run/udev/data has no record of what is on {block.name}',
            use.Certainty.UNKNOWN,
        )
    return None


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
) -> tuple[str, ...]:
    """Return the functions through which a block device is accessed."""
    functions: list[str] = []
    seen: set[str] = set()
    todo = [name]
    while todo:
        name = todo.pop()
        block = blocks.get(name)
        if block is None or name in seen:
            continue
        seen.add(name)
        functions.extend(block.functions)
        todo.extend(block.lower)
        if block.disk is not None:
            todo.append(block.disk)
    return tuple(functions)
