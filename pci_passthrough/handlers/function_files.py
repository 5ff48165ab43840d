# SPDX-License-Identifier: Apache-2.0
"""Finds the files and device nodes of a PCI function, by its address only.

A path is made of a valid address, of fixed names, and of what sysfs has below
the function's own directory, whose names must have the kernel's form. Links
are resolved below the host's root directory, and the result must be the
function's directory. No text of a user or tenant gets into a path.
"""

from collections.abc import Callable
import os
import re
import stat

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.handlers import interface

#: Drivers have names of this form (Linux allows more, and uses no more).
DRIVER_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_-]{0,63}', re.ASCII)

_VIRTUAL_FUNCTION = re.compile(r'virtfn(\d+)', re.ASCII)
_NVME_CONTROLLER = re.compile(r'nvme\d+', re.ASCII)
#: Kernel's names of disks that can be below a PCI function.
_DISK = re.compile(
    r'(?:nvme\d+(?:c\d+)?n\d+|sd[a-z]+|vd[a-z]+|mmcblk\d+)', re.ASCII
)


class FunctionFiles:
    """The files of one PCI function of a host.

    :param root: the host's root directory.
    :param address: ``dddd:bb:ss.f``.
    :raises HandlerError: the address is malformed, or the host has no such
        function.
    """

    def __init__(self, root: str, address: str) -> None:
        if not host_facts.ADDRESS.fullmatch(address):
            raise interface.HandlerError(f'{address!r} is no PCI address')
        self.address = address
        self._root = root
        self.files = chroot_files.ChrootFiles(root)
        try:
            self.folder = self.files.resolve(f'sys/bus/pci/devices/{address}')
        except OSError as error:
            raise interface.HandlerError(
                f'the host has no PCI function {address}: {error.strerror}'
            ) from error
        if not (
            self.folder.startswith('sys/devices/')
            and self.folder.endswith(f'/{address}')
        ):
            raise interface.HandlerError(
                f'sysfs shows {address} at {self.folder}, which is no '
                'directory of a device'
            )

    def path(self, name: str) -> str:
        """Return the full path of a file of the function, without links."""
        place = self.files.resolve(f'{self.folder}/{name}')
        return os.path.join(self._root, place)

    def read(self, name: str) -> str | None:
        """Return a file's text without blanks around, None if it is absent."""
        text = self.files.read_if_exists(f'{self.folder}/{name}')
        return None if text is None else text.strip()

    @property
    def driver(self) -> str | None:
        """The name of the bound driver, None for none."""
        return self._target('driver')

    @property
    def iommu_group(self) -> str | None:
        """The number of the IOMMU group, None for none."""
        return self._target('iommu_group')

    def _target(self, name: str) -> str | None:
        try:
            return os.path.basename(self.files.link(f'{self.folder}/{name}'))
        except FileNotFoundError:
            return None

    def virtual_functions(self) -> dict[int, str]:
        """Return the addresses of the virtual functions by their index.

        The links are read, never ``sriov_numvfs``: a read of it blocks,
        uninterruptibly, while a write to it waits for a guest.
        """
        functions = {}
        for name in self.files.names(self.folder):
            match = _VIRTUAL_FUNCTION.fullmatch(name)
            address = self._target(name) if match else None
            if match and address and host_facts.ADDRESS.fullmatch(address):
                functions[int(match[1])] = address
        return dict(sorted(functions.items()))

    def interfaces(self) -> dict[str, int]:
        """Return the indexes of the function's network interfaces by name."""
        return {
            name: int(self.files.read(f'{self.folder}/net/{name}/ifindex'))
            for name in self.files.names(f'{self.folder}/net')
        }

    def nvme_controllers(self) -> dict[str, str]:
        """Return the numbers ``major:minor`` of NVMe controllers by name."""
        found = {}
        for name in self.files.names(f'{self.folder}/nvme'):
            number = self.read(f'nvme/{name}/dev')
            if _NVME_CONTROLLER.fullmatch(name) and number:
                found[name] = number
        return found

    def disks(self) -> dict[str, str]:
        """Return ``major:minor`` of the disks below the function, by name.

        A disk is below a function if its directory in sysfs is, without
        another function in between. That of an
        NVMe multipath disk is not: the disk is known by its subsystem, to
        which a controller of the function links.

        :raises HandlerError: a namespace is a path of a multipath disk that
            other controllers reach, too.
        """
        disks = {}
        for name in self.files.names('sys/class/block'):
            if not _DISK.fullmatch(name):
                continue
            place = self.files.resolve_if_exists(f'sys/class/block/{name}')
            if place is None or self.files.exists(f'{place}/partition'):
                continue
            number = self.files.read_if_exists(f'{place}/dev')
            if number and self._is_mine(place, name):
                disks[name] = number.strip()
        return disks

    def _is_mine(self, place: str, name: str) -> bool:
        if place.startswith(f'{self.folder}/'):
            # Not of a function behind it, as behind a bridge or Intel VMD.
            below = place.removeprefix(self.folder)
            return not host_facts.functions_in(below)
        subsystem, found, rest = place.partition('/nvme-subsystem/')
        if not found:
            return False
        instance = rest.partition('/')[0]
        controllers = [
            self.files.resolve(f'{subsystem}/nvme-subsystem/{instance}/{link}')
            for link in self.files.names(
                f'{subsystem}/nvme-subsystem/{instance}'
            )
            if _NVME_CONTROLLER.fullmatch(link)
        ]
        mine = [c for c in controllers if c.startswith(f'{self.folder}/')]
        if mine and len(mine) < len(controllers):
            raise interface.HandlerError(
                f'its disk {name} is reached through other controllers, too: '
                f'{", ".join(c for c in controllers if c not in mine)}'
            )
        return bool(mine)

    def open_node(
        self,
        name: str,
        number: str,
        flags: int,
        is_kind: Callable[[int], bool] = stat.S_ISBLK,
    ) -> int:
        """Open the device node of a disk or controller of the function.

        :param name: a name from ``disks`` or ``nvme_controllers``.
        :param number: its number in sysfs.
        :param flags: of ``open``.
        :param is_kind: whether a mode is that of the node's kind.
        :returns: the file descriptor.
        :raises HandlerError: the node is another device's, or is missing.
        """
        try:
            place = self.files.resolve(f'dev/{name}')
            descriptor = os.open(
                os.path.join(self._root, place),
                flags | os.O_NOFOLLOW | os.O_CLOEXEC,
            )
        except OSError as error:
            raise interface.HandlerError(
                f'/dev/{name} cannot be opened: {error.strerror}'
            ) from error
        status = os.fstat(descriptor)
        device = status.st_rdev
        if not is_kind(status.st_mode) or number != (
            f'{os.major(device)}:{os.minor(device)}'
        ):
            os.close(descriptor)
            raise interface.HandlerError(
                f'/dev/{name} is not the device {number} of sysfs'
            )
        return descriptor
