# SPDX-License-Identifier: Apache-2.0
"""Locks a device against processes that do not end.

A process of an agent that was killed may still be in the kernel, in a write
that waits for a guest: no other process may act on the device meanwhile. The
locks are those of flock(2) on a file of the device in sysfs, which end with
the processes that have it open, and need neither a directory nor a right to
write.
"""

import errno
import fcntl
import os
import time

from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface

#: Seconds to wait for processes that are about to end.
PATIENCE = 10.0
_PAUSE = 0.05

#: Descriptors of this process, and of the one that forked it, by address.
_held: dict[str, int] = {}


def take(root: str, address: str) -> None:
    """Wait until nobody else acts on a device, and keep others from it.

    The lock lasts as long as this process, its forks, and the daemons that
    share it.

    :raises HandlerError: another process still acts on the device.
    """
    descriptor = _open(root, address)
    deadline = time.monotonic() + PATIENCE
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise interface.HandlerError(
                'a process that was started before still acts on it; see '
                'lslocks(8)'
            )
        time.sleep(_PAUSE)
    # So that the daemons of this process can share it.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _held[address] = descriptor


def share(root: str, address: str) -> None:
    """Share the lock of a device, in a daemon with privileges.

    :raises HandlerError: another process takes the device just now.
    """
    if address in _held:
        return
    descriptor = _open(root, address)
    if not _try(descriptor, fcntl.LOCK_SH):
        os.close(descriptor)
        raise interface.HandlerError(f'another process acts on {address}')
    _held[address] = descriptor


def release_all() -> None:
    """Release the locks of this process."""
    while _held:
        os.close(_held.popitem()[1])


def _open(root: str, address: str) -> int:
    function = function_files.FunctionFiles(root, address)
    try:
        return os.open(function.path('class'), os.O_RDONLY | os.O_CLOEXEC)
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
