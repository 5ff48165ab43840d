# SPDX-License-Identifier: Apache-2.0
"""Reads a host's disks and its storage over the network.

They are in sysfs and in udev's database.
"""

import functools
import os
import re

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import read_errors

_BLOCK_DEVICES = 'sys/class/block'
_ISCSI_CONNECTIONS = 'sys/class/iscsi_connection'
_NVME_CONTROLLERS = 'sys/class/nvme'
_BTRFS = 'sys/fs/btrfs'

#: Block device of an NVMe namespace, ``nvme<subsystem>n<namespace>``.
_NVME_HEAD = re.compile(r'nvme(?P<subsystem>\d+)n(?P<namespace>\d+)')


def block_devices(
    files: chroot_files.ChrootFiles, errors: read_errors.ReadErrors
) -> dict[str, host_facts.BlockDevice]:
    """Return the block devices by name; ``errors`` gets the unreadable ones.

    Devices without a device number are left out: they have disappeared, or
    are hidden paths of an NVMe multipath device, which cannot be opened.
    """
    return errors.read_objects(
        host_facts.Subject.STORAGE,
        _BLOCK_DEVICES,
        functools.partial(_block_device, files),
    )


def btrfs_members(files: chroot_files.ChrootFiles) -> tuple[str, ...]:
    """Return the block devices of mounted Btrfs file systems.

    :raises OSError: sysfs is unreadable.
    """
    return tuple(
        name
        for file_system in files.names(_BTRFS)
        for name in files.names(f'{_BTRFS}/{file_system}/devices')
    )


def remote_storage(
    files: chroot_files.ChrootFiles,
) -> tuple[host_facts.RemoteStorage, ...]:
    """Return the kernel's iSCSI connections and its NVMe controllers over IP.

    :raises OSError: sysfs is unreadable.
    """
    result = []
    for name in files.names(_ISCSI_CONNECTIONS):
        folder = f'{_ISCSI_CONNECTIONS}/{name}'
        address = files.read_if_exists(f'{folder}/address')
        if address is not None:
            server = address.strip().strip('[]')
            result.append(host_facts.RemoteStorage(f'iSCSI {name}', server))
    for name in _nvme_controllers(files, ('tcp', 'rdma')):
        address = files.read_if_exists(f'{_NVME_CONTROLLERS}/{name}/address')
        if address is not None:
            server = _nvme_server(address.strip())
            result.append(host_facts.RemoteStorage(f'NVMe {name}', server))
    return tuple(result)


def fibre_channel_nvme(files: chroot_files.ChrootFiles) -> tuple[str, ...]:
    """Return the NVMe controllers over Fibre Channel.

    :raises OSError: sysfs is unreadable.
    """
    return _nvme_controllers(files, ('fc',))


def _nvme_controllers(
    files: chroot_files.ChrootFiles, transports: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(
        name
        for name in files.names(_NVME_CONTROLLERS)
        if (
            files.read_if_exists(f'{_NVME_CONTROLLERS}/{name}/transport') or ''
        ).strip()
        in transports
    )


def _nvme_server(address: str) -> str:
    """Return the server of a controller's attribute ``address``.

    It is for example ``traddr=192.0.2.1,trsvcid=4420,host_iface=eth0``
    (drivers/nvme/host/fabrics.c).
    """
    options = dict(option.partition('=')[::2] for option in address.split(','))
    server = options.get('traddr', '')
    interface = options.get('host_iface')
    return f'{server}%{interface}' if interface else server


def _block_device(
    files: chroot_files.ChrootFiles, name: str, folder: str
) -> host_facts.BlockDevice | None:
    """Read one block device, None if it has no device number."""
    number = files.read_if_exists(f'{folder}/dev')
    if number is None:
        return None
    number = number.strip()
    parent = os.path.dirname(folder)
    is_partition = 'partition' in files.entries(folder)
    size = files.read_if_exists(f'{folder}/size')
    mapper_name = files.read_if_exists(f'{folder}/dm/name')
    record = files.read_if_exists(f'run/udev/data/b{number}')
    return host_facts.BlockDevice(
        name=name,
        number=number,
        disk=os.path.basename(parent) if is_partition else None,
        lower=tuple(files.names(f'{folder}/slaves')),
        holders=tuple(files.names(f'{folder}/holders')),
        functions=(
            _nvme_functions(files, folder) or host_facts.devices_in(folder)
        ),
        mapper_name=mapper_name.strip() if mapper_name else None,
        is_empty=size is not None and size.strip() == '0',
        is_probed=record is not None,
        signature=chroot_files.value_in(record or '', 'E:ID_FS_TYPE=')
        or chroot_files.value_in(record or '', 'E:ID_FS_USAGE='),
    )


def _nvme_functions(
    files: chroot_files.ChrootFiles, folder: str
) -> tuple[str, ...]:
    """Return the PCI functions of an NVMe multipath device's controllers.

    ``nvme0n1`` is a child of ``nvme-subsys0``, which links to its
    controllers. A controller ``nvme2`` that serves this namespace has a
    hidden child ``nvme0c2n1``. Older kernels do not show this child;
    then all controllers of the subsystem are returned.
    """
    subsystem, _, rest = folder.partition('/nvme-subsystem/')
    if not rest:
        return ()
    instance, _, block = rest.partition('/')
    head = _NVME_HEAD.match(block)
    folder = f'{subsystem}/nvme-subsystem/{instance}'
    serving: list[str] = []
    every: list[str] = []
    for name in files.names(folder):
        if not re.fullmatch(r'nvme\d+', name):
            continue
        controller = files.resolve(f'{folder}/{name}')
        every.extend(host_facts.functions_in(controller))
        if head is not None and (
            f'nvme{head["subsystem"]}c{name.removeprefix("nvme")}'
            f'n{head["namespace"]}'
        ) in files.names(controller):
            serving.extend(host_facts.functions_in(controller))
    return tuple(serving or every)
