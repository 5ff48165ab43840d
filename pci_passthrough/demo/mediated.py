# SPDX-License-Identifier: Apache-2.0

"""Mediated devices of a simulated host, as the kernel makes and shows them.

The files are those of Documentation/ABI/testing/sysfs-bus-vfio-mdev; the
errors are those of ``mdev_device_create`` in drivers/vfio/mdev.
"""

from __future__ import annotations

import errno
import os
import uuid

from pci_passthrough.demo import inventory
from pci_passthrough.demo import tree as tree_module

_TYPES = 'mdev_supported_types'


def add_types(
    tree: tree_module.Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add what a function can make, and how many more (below ``/sys``)."""
    if not makes_devices(device):
        return
    path = host.path(device.address)
    for kind in device.model.mediated_types:
        folder = f'{path}/{_TYPES}/{kind.name}'
        tree.file(f'{folder}/name', kind.label)
        tree.file(f'{folder}/device_api', 'vfio-pci')
        tree.file(f'{folder}/create', b'')
        tree.folder(f'{folder}/devices')
    tree.link(f'class/mdev_bus/{device.address}', path)
    tree.folder('bus/mdev/devices')
    add_counts(tree, host, device)
    for identifier in device.mediated:
        add_device(tree, host, device, identifier)


def makes_devices(device: inventory.Device) -> bool:
    """Whether a function is bound to a driver that makes such devices."""
    return bool(
        device.model.mediated_types and device.driver == device.model.driver
    )


def add_counts(
    tree: tree_module.Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add how many more devices of each type a function can make."""
    for kind in device.model.mediated_types:
        tree.file(
            f'{host.path(device.address)}/{_TYPES}/{kind.name}/'
            'available_instances',
            device.free_instances(kind),
        )


def add_device(
    tree: tree_module.Tree,
    host: inventory.Host,
    device: inventory.Device,
    identifier: str,
) -> None:
    """Add the files of one mediated device (below ``/sys``)."""
    parent = host.path(device.address)
    path = f'{parent}/{identifier}'
    kind = f'{parent}/{_TYPES}/{device.mediated[identifier]}'
    group = f'kernel/iommu_groups/{host.group_of(identifier)}'
    tree.file(f'{path}/remove', b'')
    tree.file(f'{path}/uevent', 'DRIVER=vfio_mdev\nMODALIAS=mdev:')
    tree.link(f'{path}/mdev_type', kind)
    tree.link(f'{path}/subsystem', 'bus/mdev')
    tree.folder('bus/mdev/drivers/vfio_mdev')
    tree.link(f'{path}/driver', 'bus/mdev/drivers/vfio_mdev')
    tree.link(f'bus/mdev/devices/{identifier}', path)
    tree.link(f'{kind}/devices/{identifier}', path)
    tree.link(f'{path}/iommu_group', group)
    tree.link(f'{group}/devices/{identifier}', path)


def create(
    host: inventory.Host,
    device: inventory.Device,
    kind_name: str,
    identifier: str,
) -> None:
    """Make a mediated device.

    :raises OSError: as the kernel does.
    """
    try:
        wanted = str(uuid.UUID(identifier))
    except ValueError as error:
        raise _error(errno.EINVAL) from error
    if any(wanted in other.mediated for other in host.devices.values()):
        raise _error(errno.EEXIST)
    [kind] = [
        kind for kind in device.model.mediated_types if kind.name == kind_name
    ]
    if device.free_instances(kind) < 1:
        raise _error(errno.EUSERS)
    device.mediated[wanted] = kind_name


def paths_of(
    host: inventory.Host, device: inventory.Device, identifier: str
) -> list[str]:
    """Return what disappears with a mediated device (below ``/sys``)."""
    parent = host.path(device.address)
    kind = device.mediated[identifier]
    return [
        f'{parent}/{_TYPES}/{kind}/devices/{identifier}',
        f'kernel/iommu_groups/{host.group_of(identifier)}',
        f'{parent}/{identifier}',
        f'bus/mdev/devices/{identifier}',
    ]


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
