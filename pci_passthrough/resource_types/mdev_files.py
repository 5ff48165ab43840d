# SPDX-License-Identifier: Apache-2.0
"""Reads the mediated devices of a host, and what its functions can make.

The files are described in the kernel's
Documentation/ABI/testing/sysfs-bus-vfio-mdev.
"""

import dataclasses
import os
import re

from pci_passthrough import chroot_files
from pci_passthrough.objects import fields

_FUNCTIONS = 'sys/bus/pci/devices'
_DEVICES = 'sys/bus/mdev/devices'
_PARENTS = 'sys/class/mdev_bus'
_TYPES = 'mdev_supported_types'

#: The drivers' names of types: ``nvidia-558``, ``i915-GVTg_V5_4``.
TYPE_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,63}', re.ASCII)

#: A UUID as the kernel shows it.
UUID = re.compile(r'[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}', re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class MediatedType:
    """A type of mediated devices that a function supports."""

    name: str
    #: the driver's words for it, empty if it has none
    label: str
    #: how many more devices of it the function can make now
    available: int
    #: UUIDs of those that exist
    devices: tuple[str, ...]


def functions_of(root: str) -> list[str]:
    """Return the addresses of the functions that make mediated devices.

    :raises OSError: sysfs cannot be read.
    """
    names = chroot_files.ChrootFiles(root).names(_PARENTS)
    return [name for name in names if fields.is_pci_address(name)]


def types_of(root: str, address: str) -> tuple[MediatedType, ...]:
    """Return what a function can make; nothing if it is gone.

    :param root: the host's root directory.
    :param address: of a PCI function.
    :raises OSError: sysfs cannot be read.
    """
    files = chroot_files.ChrootFiles(root)
    folder = f'{_FUNCTIONS}/{address}/{_TYPES}'
    types = []
    for name in files.names(folder):
        try:
            types.append(_type(files, f'{folder}/{name}', name))
        except FileNotFoundError:
            # The driver is just being unbound.
            continue
    return tuple(types)


def supported(root: str, address: str, name: str) -> MediatedType | None:
    """Return a type of a function, None if it does not make it.

    :raises OSError: sysfs cannot be read.
    """
    if not TYPE_NAME.fullmatch(name):
        return None
    files = chroot_files.ChrootFiles(root)
    try:
        return _type(files, f'{_FUNCTIONS}/{address}/{_TYPES}/{name}', name)
    except FileNotFoundError:
        return None


def _type(
    files: chroot_files.ChrootFiles, folder: str, name: str
) -> MediatedType:
    available = files.read(f'{folder}/available_instances').strip()
    return MediatedType(
        name=name,
        label=(files.read_if_exists(f'{folder}/name') or '').strip(),
        available=int(available) if available.isdecimal() else 0,
        devices=tuple(
            device
            for device in files.names(f'{folder}/devices')
            if UUID.fullmatch(device)
        ),
    )


def type_of(root: str, identifier: str) -> str | None:
    """Return the type of a mediated device, None if it does not exist.

    :param identifier: its UUID.
    :raises OSError: sysfs cannot be read.
    """
    return _target(root, identifier, 'mdev_type')


def group_of(root: str, identifier: str) -> str | None:
    """Return the number of a mediated device's IOMMU group, None for none.

    :raises OSError: sysfs cannot be read.
    """
    return _target(root, identifier, 'iommu_group')


def _target(root: str, identifier: str, name: str) -> str | None:
    if not UUID.fullmatch(identifier):
        return None
    files = chroot_files.ChrootFiles(root)
    try:
        target = files.link(f'{_DEVICES}/{identifier}/{name}')
    except FileNotFoundError:
        return None
    return os.path.basename(target)
