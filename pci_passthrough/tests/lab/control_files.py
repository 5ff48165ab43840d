# SPDX-License-Identifier: Apache-2.0

"""The simulated kernel's control files, as a flat FUSE folder.

Only the control files use FUSE: a ``/sys`` on FUSE would cost 10 to 20 ms
for each device, a tmpfs with links to FUSE files costs half a millisecond.
"""

from __future__ import annotations

import errno
import pathlib
import stat

import fuse

from pci_passthrough.tests.lab import kernel as simulated_kernel


class ControlFiles(fuse.Operations):  # type: ignore[misc]
    """Passes reads and writes of the control files to the simulated kernel."""

    def __init__(self, kernel: simulated_kernel.Kernel) -> None:
        self._kernel = kernel

    def _check(self, path: str) -> str:
        name = path[1:].replace('!', '/')
        if name not in self._kernel.contents:
            raise fuse.FuseOSError(errno.ENOENT)
        return name

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Return the attributes: a control file is writable, one page long."""
        if path == '/':
            return {'st_mode': stat.S_IFDIR | 0o755, 'st_nlink': 2}
        self._check(path)
        return {
            'st_mode': stat.S_IFREG | 0o644,
            'st_nlink': 1,
            'st_size': 4096,
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        """List all control files."""
        names = map(simulated_kernel.control_name, self._kernel.contents)
        return ['.', '..', *names]

    def open(self, path: str, flags: int) -> int:
        """Open a control file; there is no state."""
        self._check(path)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Read a control file."""
        return self._kernel.read(self._check(path))[offset : offset + size]

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Accept the truncation of ``echo >``; the write follows."""
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write a control file; raise the simulated kernel's errno."""
        error = self._kernel.write(self._check(path), data)
        if error:
            raise fuse.FuseOSError(error)
        return len(data)


def serve(kernel: simulated_kernel.Kernel, folder: pathlib.Path) -> None:
    """Mount the control files on ``folder``; return when it is unmounted."""
    fuse.FUSE(
        ControlFiles(kernel),
        str(folder),
        foreground=True,
        # Serializes all writes, like the kernel's lock.
        nothreads=True,
        allow_other=True,
        direct_io=True,
        attr_timeout=0,
        entry_timeout=0,
    )
