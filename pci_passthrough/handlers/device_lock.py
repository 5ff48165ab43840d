# SPDX-License-Identifier: Apache-2.0
"""Locks a device against processes that do not end.

A process of an agent that was killed may still be in the kernel, in a write
that waits for a guest: no other process may act on the device meanwhile. The
locks are those of flock(2) on a file of the device in sysfs, which end with
the processes that have it open, and need neither a directory nor a right to
write.

A mediated device does not always exist, and shares the lock of its function. A
device that sysfs does not show shares one lock with all others of that kind.
"""

import errno
import fcntl
import os
import pathlib
import time

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.objects import fields

#: Seconds to wait for processes that are about to end.
PATIENCE = 10.0
_PAUSE = 0.05

#: The process that took the lock and its descriptor, by address.
_held: dict[str, tuple[int, int]] = {}


def place_of(device: interface.Device) -> str:
    """Return the address of the device whose lock a device has. Pure."""
    if device.is_function or device.parent_addr is None:
        return device.address
    return device.parent_addr


def take(root: str, address: str) -> None:
    """Wait until nobody else acts on a device, and keep others from it.

    The lock lasts as long as this process, its forks and programs, and the
    daemons that share it.

    :raises HandlerError: another process still acts on the device.
    """
    descriptor = _open(root, address)
    deadline = time.monotonic() + PATIENCE
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise interface.HandlerError(
                'a process that was started before still acts on it: '
                f'{_names_of_holders(root, address)}'
            )
        time.sleep(_PAUSE)
    # So that the daemons of this process can share it.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _held[address] = os.getpid(), descriptor


def share(root: str, address: str) -> None:
    """Share the lock of a device, in a daemon with privileges.

    :raises HandlerError: another process takes the device just now.
    """
    # A forked daemon takes its own, too: so /proc/locks has its number.
    if address in _held and _held[address][0] == os.getpid():
        return
    descriptor = _open(root, address)
    if not _try(descriptor, fcntl.LOCK_SH):
        os.close(descriptor)
        raise interface.HandlerError(f'another process acts on {address}')
    _held[address] = os.getpid(), descriptor


def descriptors() -> tuple[int, ...]:
    """Return the descriptors of the locks, for programs to inherit.

    A program that outlives this process, because it waits in the kernel or has
    left its process group, keeps its device locked.
    """
    return tuple(descriptor for _, descriptor in _held.values())


def holder(root: str, address: str) -> str | None:
    """Return who has the lock of a device, None for nobody.

    :returns: the processes that took it, for people; one of them may have
        ended, and a program of it has the lock.
    """
    try:
        descriptor = _open(root, address)
    except interface.HandlerError:
        # The function is gone.
        return None
    try:
        if _try(descriptor, fcntl.LOCK_EX):
            return None
    finally:
        os.close(descriptor)
    return _names_of_holders(root, address)


def release_all() -> None:
    """Release the locks of this process."""
    while _held:
        _, (_, descriptor) = _held.popitem()
        os.close(descriptor)


def _names_of_holders(root: str, address: str) -> str:
    """Return the holders by proc(5), ``/proc/locks``."""
    try:
        status = os.stat(_path(root, address))
        lines = pathlib.Path('/proc/locks').read_text().splitlines()
    except OSError as error:
        return f'unknown, {error}'
    device = status.st_dev
    place = f'{os.major(device):02x}:{os.minor(device):02x}:{status.st_ino}'
    numbers = {
        words[4]
        for words in map(str.split, lines)
        if words[1] == 'FLOCK' and words[5] == place
    }
    return ', '.join(map(_name, sorted(numbers))) or 'unknown, see lslocks(8)'


def _name(number: str) -> str:
    try:
        name = pathlib.Path(f'/proc/{number}/comm').read_text().strip()
    except OSError:
        return f'a program of process {number}, which has ended'
    return f'process {number} ({name})'


def _path(root: str, address: str) -> str:
    """Return the file with the lock of a device.

    :raises OSError: sysfs cannot be read.
    :raises HandlerError: the host has no such function.
    """
    if fields.is_pci_address(address):
        return function_files.FunctionFiles(root, address).path('class')
    files = chroot_files.ChrootFiles(root)
    if host_facts.USB_DEVICE.fullmatch(address):
        place = files.resolve(f'sys/bus/usb/devices/{address}/idVendor')
    else:
        place = files.resolve('sys/bus')
    return os.path.join(root, place)


def _open(root: str, address: str) -> int:
    try:
        return os.open(_path(root, address), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise interface.HandlerError(
            f'its directory in sysfs cannot be read: {error.strerror}'
        ) from error


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True
