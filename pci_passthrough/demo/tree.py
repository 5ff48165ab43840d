# SPDX-License-Identifier: Apache-2.0

"""Files of a simulated host, before they are written."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Symlink:
    """A symbolic link of a :class:`Tree`."""

    target: str


class Tree(dict[str, bytes | Symlink | None]):
    """Files (bytes), links and folders (None) by their relative paths."""

    def file(self, path: str, value: object) -> None:
        """Add a file; as in sysfs, the value ends with a newline."""
        # libudev and libvirt cannot read an attribute without a newline.
        self[path] = (
            value if isinstance(value, bytes) else f'{value}\n'.encode()
        )

    def link(self, path: str, target: str) -> None:
        """Add a link to ``target``, which is a path of the same tree."""
        self[path] = Symlink(os.path.relpath(target, os.path.dirname(path)))

    def folder(self, path: str) -> None:
        """Add an empty folder."""
        self[path] = None

    def write(self, root: pathlib.Path) -> None:
        """Write the tree below ``root``; overwrite existing files."""
        # With pathlib instead of os, a big host would take twice as long.
        for folder in sorted(
            path if entry is None else os.path.dirname(path)
            for path, entry in self.items()
        ):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        for path, entry in self.items():
            place = os.path.join(root, path)
            if isinstance(entry, bytes):
                with open(place, 'wb') as file:
                    file.write(entry)
            elif entry is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(place)
                os.symlink(entry.target, place)
