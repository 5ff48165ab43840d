# SPDX-License-Identifier: Apache-2.0
"""Erases and reads the disks of one PCI function, in parts."""

import errno
import fcntl
import os
import struct
from typing import Final

from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged

#: ioctls of block devices, from include/uapi/linux/fs.h.
_BLKDISCARD: Final = 0x1277
_BLKZEROOUT: Final = 0x127F

#: Most bytes that one call writes or reads, so that it ends soon.
LARGEST_PART = 256 << 20
_BUFFER = 1 << 20


@privileged.files.entrypoint
def sizes(address: str) -> dict[str, int]:
    """Return the sizes of a function's disks in bytes, by name.

    Each disk is opened exclusively: a mounted disk, or one that RAID or LVM
    holds, is refused.

    :raises HandlerError: a disk cannot be opened, or is in use.
    """
    function = privileged.function(address)
    result = {}
    for name, number in function.disks().items():
        descriptor = function.open_node(name, number, os.O_RDWR | os.O_EXCL)
        try:
            result[name] = os.lseek(descriptor, 0, os.SEEK_END)
        finally:
            os.close(descriptor)
    return result


@privileged.files.entrypoint
def discard(address: str, name: str, start: int, length: int) -> bool:
    """Discard a part of a disk.

    :returns: False if the disk cannot discard.
    :raises HandlerError: it failed, or the disk is in use.
    """
    return _erase(address, name, _BLKDISCARD, start, length)


@privileged.files.entrypoint
def overwrite(address: str, name: str, start: int, length: int) -> None:
    """Write zeros over a part of a disk, to the medium itself.

    :raises HandlerError: it failed, or the disk is in use.
    """
    if not _erase(address, name, _BLKZEROOUT, start, length):
        raise interface.HandlerError(f'{name} does not take BLKZEROOUT')


@privileged.files.entrypoint
def is_zero(address: str, name: str, start: int, length: int) -> bool:
    """Whether a part of a disk reads as zeros, past the page cache.

    :raises HandlerError: the part cannot be read.
    """
    descriptor = _open(address, name, os.O_RDONLY)
    try:
        # Or else pages that were read before would be read again.
        os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)
        position, end = start, start + min(length, LARGEST_PART)
        while position < end:
            part = os.pread(descriptor, min(_BUFFER, end - position), position)
            if not part:
                raise interface.HandlerError(f'{name} ends at {position}')
            if part.count(0) != len(part):
                return False
            position += len(part)
        return True
    except OSError as error:
        raise interface.HandlerError(
            f'{name} cannot be read at {start}: {error.strerror}'
        ) from error
    finally:
        os.close(descriptor)


def _erase(
    address: str, name: str, request: int, start: int, length: int
) -> bool:
    if length > LARGEST_PART:
        raise interface.HandlerError(f'{length} bytes are too many at once')
    descriptor = _open(address, name, os.O_RDWR | os.O_EXCL)
    try:
        fcntl.ioctl(descriptor, request, struct.pack('QQ', start, length))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
            return False
        raise interface.HandlerError(
            f'{name} cannot be erased at {start}: {error.strerror}'
        ) from error
    finally:
        os.close(descriptor)
    return True


def _open(address: str, name: str, flags: int) -> int:
    """Open a disk of a function; its name must be one of the function's."""
    function = privileged.function(address)
    number = function.disks().get(name)
    if number is None:
        raise interface.HandlerError(f'{address} has no disk {name!r}')
    return function.open_node(name, number, flags)
