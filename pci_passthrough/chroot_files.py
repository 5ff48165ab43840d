# SPDX-License-Identifier: Apache-2.0
"""Reads files below a root directory, resolving links as chroot(2) would.

``/sys`` is full of symbolic links. Below another root (a simulated host's
``/proc/PID/root``, a test's temporary directory) the operating system would
resolve an absolute link, or one with too many ``..``, to a file of this
machine instead of the other host.

Objects of sysfs disappear while they are read, for example the network
interface of an instance that stops. Linux then answers with other errors than
ENOENT, see fs/kernfs/file.c (ENODEV) and net/core/net-sysfs.c (EINVAL). Here
all of them are a ``FileNotFoundError``.
"""

from collections.abc import Iterator
import contextlib
import errno
import os
import stat

#: Most links in one path, as in Linux.
_MAX_LINKS = 40

#: Errors of reading a file whose object has disappeared.
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EINVAL)


@contextlib.contextmanager
def _gone_is_not_found(path: str) -> Iterator[None]:
    """Raise ``FileNotFoundError`` for each error of a vanished object."""
    try:
        yield
    except OSError as error:
        if error.errno not in _GONE:
            raise
        raise FileNotFoundError(errno.ENOENT, error.strerror, path) from error


class ChrootFiles:
    """Read-only access to the files below a root directory.

    All paths are relative to the root.

    :param root: an existing directory, ``/`` for this machine.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        # Directories that are known not to be links: sysfs never replaces
        # a directory by a link, and most paths have common parents.
        self._folders: set[str] = set()

    def resolve(self, path: str) -> str:
        """Return the path without links and ``..``.

        An absolute link starts at the root directory, and ``..`` never
        leaves the root directory.

        :raises OSError: a part of the path is missing or unreadable, or the
            links form a loop.
        """
        links = 0
        done: list[str] = []
        todo = path.split('/')[::-1]
        while todo:
            part = todo.pop()
            if part in ('', '.'):
                continue
            if part == '..':
                del done[-1:]
                continue
            here = '/'.join((*done, part))
            target = None if here in self._folders else self._link(here)
            if target is None:
                done.append(part)
                if todo:
                    self._folders.add(here)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
            if target.startswith('/'):
                done.clear()
            todo.extend(target.split('/')[::-1])
        return '/'.join(done)

    def link(self, path: str) -> str:
        """Return the target of the link at the end of a path, unresolved.

        :raises OSError: the link is missing, or the path is no link.
        """
        folder, _, name = path.rpartition('/')
        place = f'{self.resolve(folder)}/{name}'
        target = self._link(place)
        if target is None:
            raise OSError(errno.EINVAL, 'not a symbolic link', place)
        return target

    def read(self, path: str) -> str:
        """Return a text file's content.

        :raises OSError: the file is missing or unreadable.
        """
        place = self.resolve(path)
        with (
            _gone_is_not_found(place),
            open(
                self._join(place), encoding='utf-8', errors='replace'
            ) as file,
        ):
            return file.read()

    def entries(self, path: str) -> list[str]:
        """Return the sorted names in a directory.

        :raises OSError: the directory is missing or cannot be read.
        """
        place = self.resolve(path)
        with _gone_is_not_found(place):
            return sorted(os.listdir(self._join(place)))

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory, [] if it does not exist.

        :raises OSError: the directory exists and cannot be read.
        """
        try:
            return self.entries(path)
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """Return whether a path without links in it exists now."""
        try:
            os.lstat(self._join(path))
        except OSError as error:
            return error.errno not in _GONE
        return True

    def read_if_exists(self, path: str) -> str | None:
        """Return a text file's content, None if it does not exist.

        :raises OSError: the file exists and cannot be read.
        """
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def resolve_if_exists(self, path: str) -> str | None:
        """Return the path without links, None if it does not exist.

        :raises OSError: a part of the path cannot be read.
        """
        try:
            return self.resolve(path)
        except FileNotFoundError:
            return None

    def _link(self, path: str) -> str | None:
        """Return a link's target, None if the path is no link."""
        place = self._join(path)
        with _gone_is_not_found(path):
            try:
                return os.readlink(place)
            except OSError as error:
                # EINVAL: no link, or a link to an object that disappears.
                if error.errno != errno.EINVAL or stat.S_ISLNK(
                    os.lstat(place).st_mode
                ):
                    raise
                return None

    def _join(self, path: str) -> str:
        return os.path.join(self.root, path)


def value_in(text: str, start: str) -> str | None:
    """Return the rest of the first line that begins with a text.

    :param text: content of a file with one value a line, such as ``uevent``.
    :param start: for example ``DEVTYPE=``.
    """
    for line in text.splitlines():
        if line.startswith(start):
            return line.removeprefix(start)
    return None
