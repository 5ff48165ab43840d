# SPDX-License-Identifier: Apache-2.0
"""Reads files below a root directory and follows links only inside it.

``/sys`` is full of symbolic links. Below another root (a simulated host's
``/proc/PID/root``, a test's temporary directory) the operating system would
follow an absolute link, or one with too many ``..``, to this machine's own
files, and one host's facts would be told of another.
"""

import errno
import os

#: As many links in one path as Linux follows.
_MAX_LINKS = 40


class RootedFiles:
    """The files below ``root``. Paths are relative to it. Only reads.

    :param root: an existing directory, ``/`` for this machine.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        # Folders known to be no links: sysfs never swaps one for the other,
        # and most paths begin alike.
        self._folders: set[str] = set()

    def resolve(self, path: str) -> str:
        """Return the path without links and ``..``, as chroot(2) would see.

        An absolute link starts again at the root and ``..`` stops there.

        :raises OSError: something on the path is missing or unreadable, or
            the links go in circles.
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
        """Return where the link at the end of a path points, unresolved.

        :raises OSError: it is missing or no link.
        """
        folder, _, name = path.rpartition('/')
        return os.readlink(self._join(f'{self.resolve(folder)}/{name}'))

    def read(self, path: str) -> str:
        """Return a text file's content.

        :raises OSError: it is missing or unreadable.
        """
        with open(
            self._join(self.resolve(path)), encoding='utf-8', errors='replace'
        ) as file:
            return file.read()

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none if it is missing.

        :raises OSError: it is there and cannot be read.
        """
        try:
            return sorted(os.listdir(self._join(self.resolve(path))))
        except FileNotFoundError:
            return []

    def read_if_there(self, path: str) -> str | None:
        """Return a text file's content, None if it is missing.

        :raises OSError: it is there and cannot be read.
        """
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def resolve_if_there(self, path: str) -> str | None:
        """Return the path without links, None if it is missing.

        :raises OSError: something on the path cannot be read.
        """
        try:
            return self.resolve(path)
        except FileNotFoundError:
            return None

    def _link(self, path: str) -> str | None:
        """Return where a link points to, None if it is no link."""
        try:
            return os.readlink(self._join(path))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return None

    def _join(self, path: str) -> str:
        return os.path.join(self.root, path)
