# SPDX-License-Identifier: Apache-2.0
"""Collects the errors of one look at a host, and which devices each affects.

An object that disappears while it is read is no error: it is not there. Any
other error affects the functions behind the unreadable object only.
"""

from collections.abc import Callable
import functools
import typing

from oslo_log import log

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts

LOG = log.getLogger(__name__)

_Fact = typing.TypeVar('_Fact')

#: NVMe multipath devices are below this folder, not below their controllers.
_NVME_SUBSYSTEM = '/nvme-subsystem/'


class ReadErrors:
    """The errors of one look at a host.

    :ivar unreadable: the errors until now.
    """

    def __init__(self, files: chroot_files.ChrootFiles) -> None:
        self._files = files
        self.unreadable: list[host_facts.Unreadable] = []

    def read_object(
        self,
        subject: host_facts.Subject,
        path: str,
        read: Callable[[str], _Fact | None],
    ) -> _Fact | None:
        """Read one object of sysfs.

        :param path: the object's directory, or a link to it.
        :param read: reads the object, called with the path without links.
        :returns: the result of ``read``, None if the object is not there or
            unreadable.
        """
        folder = None
        functions = None
        try:
            folder = self._files.resolve(path)
            functions = _functions_behind(folder)
            return read(folder)
        except FileNotFoundError as error:
            # An object that lost only a part has changed, for example the
            # bridge of an interface.
            if folder is not None and self._files.exists(folder):
                self._add(error, subject, functions)
        except (OSError, ValueError) as error:
            self._add(error, subject, functions)
        return None

    def read_objects(
        self,
        subject: host_facts.Subject,
        path: str,
        read: Callable[[str, str], _Fact | None],
    ) -> dict[str, _Fact]:
        """Read the objects of a directory of sysfs, by name.

        :param read: called with the name and the path without links.
        :returns: without objects for which ``read`` returned None.
        """
        objects = {}
        for name in self.names(subject, path):
            fact = self.read_object(
                subject, f'{path}/{name}', functools.partial(read, name)
            )
            if fact is not None:
                objects[name] = fact
        return objects

    def names(self, subject: host_facts.Subject, path: str) -> list[str]:
        """Return the names in a directory, [] after an error.

        An error affects every function of the subject's classes.
        """
        return self.read(subject, lambda: self._files.names(path), list[str]())

    def read(
        self,
        subject: host_facts.Subject,
        read: Callable[[], _Fact],
        default: _Fact,
    ) -> _Fact:
        """Return the result of ``read``, ``default`` after an error.

        An error affects every function of the subject's classes. A missing
        file is an error, too.
        """
        try:
            return read()
        except (OSError, ValueError) as error:
            self._add(error, subject, None)
            return default

    def _add(
        self,
        error: Exception,
        subject: host_facts.Subject,
        functions: tuple[str, ...] | None,
    ) -> None:
        self.unreadable.append(
            host_facts.Unreadable(str(error), subject, functions)
        )
        if functions is None or functions:
            LOG.warning(
                'Could not read whether the host below %s uses %s; not '
                'offering these devices: %s',
                self._files.root,
                f'its {subject.value} devices'
                if functions is None
                else ', '.join(functions),
                error,
            )


def _functions_behind(folder: str) -> tuple[str, ...] | None:
    """Return the functions that an unreadable object affects.

    :returns: None if the path does not tell. An object without a function in
        its path (a bridge, a tap, a volume) affects none: the interfaces and
        disks below it name it.
    """
    functions = host_facts.devices_in(folder)
    if not functions and _NVME_SUBSYSTEM in folder:
        return None
    return functions
