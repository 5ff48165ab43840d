# SPDX-License-Identifier: Apache-2.0
"""What a host itself lets go now: from its agent to its nova-compute.

The agent writes a file on the host, and nova-compute gives guests nothing
that is not in it. No message can change that: a forged report, claim or
adoption names devices in the database, and nova-compute still asks its own
host. The file has no secrets; all that matters is who can write it, so
readers check that.

Ages are measured by ``CLOCK_BOOTTIME``, which nobody can set.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import stat
import tempfile
import threading
import time
from typing import Any
from typing import Final
from urllib import parse

#: Where the agent of a local libvirt writes.
DEFAULT_FOLDER: Final = '/run/pci-passthrough'

_FORMAT: Final = 1

_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')


class NoVerdict(Exception):
    """There is no verdict that can be relied on; the text says why."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What an agent says of its host's devices.

    :ivar offered: address to ``vendor:product`` of each device that may leave
        the host; empty for what is no PCI function.
    :ivar refused: address to reason of each device that an entry of
        pci_information matches, and that the host refuses.
    """

    offered: Mapping[str, str]
    refused: Mapping[str, str]

    def reason_against(self, address: str, hardware: str) -> str | None:
        """Return why a guest must not get a device; None if it may.

        :param hardware: ``vendor:product`` of the device that is meant; empty
            for what is no PCI function.
        """
        offered = self.offered.get(address)
        if offered == hardware:
            return None
        if offered is not None:
            return f'the host offers {offered or "something else"} there'
        return self.refused.get(
            address,
            'the host does not have it, or no entry of pci_information '
            'offers it',
        )


def hardware(vendor_id: str | None, product_id: str | None) -> str:
    """Return the vendor and product of a device as verdicts have them."""
    return f'{vendor_id}:{product_id}' if vendor_id and product_id else ''


def path_of(folder: str | os.PathLike[str], host: str) -> pathlib.Path:
    """Return the path of a host's file."""
    return pathlib.Path(folder) / f'{parse.quote(host, safe="")}.json'


class Publisher:
    """Writes the verdict of a host; threads may share it.

    :param folder: is made if it does not exist.
    :param host: the host's name, for the agent and for Nova.
    """

    def __init__(self, folder: str, host: str) -> None:
        self._path = path_of(folder, host)
        self._host = host
        self._lock = threading.Lock()
        self._verdict: Verdict | None = None
        self._generation = 0

    def check(self) -> None:
        """Check that the file can be written.

        :raises OSError: it cannot.
        """
        with tempfile.TemporaryFile(dir=self._folder()):
            pass

    def is_current(self) -> bool:
        """Return whether there is a file since this start of the host."""
        try:
            Reader(self._path.parent, self._host, float('inf')).read()
        except NoVerdict:
            return False
        return True

    def publish(self, verdict: Verdict) -> None:
        """Replace the file.

        :raises OSError: it cannot be written; the one before remains.
        """
        with self._lock:
            if verdict != self._verdict:
                self._generation = max(self._generation + 1, time.time_ns())
            self._write(verdict)
            self._verdict = verdict

    def renew(self) -> None:
        """Write the last verdict again: the agent is alive, and it holds.

        :raises OSError: it cannot be written; the one before remains.
        """
        with self._lock:
            if self._verdict is not None:
                self._write(self._verdict)

    def _write(self, verdict: Verdict) -> None:
        document = {
            'format': _FORMAT,
            'host': self._host,
            'generation': self._generation,
            'boot_id': _boot_id(),
            'uptime': _uptime(),
            **dataclasses.asdict(verdict),
        }
        with tempfile.NamedTemporaryFile(
            'w', dir=self._folder(), prefix='.', delete=False
        ) as file:
            try:
                json.dump(document, file)
                # Whoever can read sysfs knows as much.
                os.fchmod(file.fileno(), 0o644)
                file.close()
                os.replace(file.name, self._path)
            except BaseException:
                os.unlink(file.name)
                raise

    def _folder(self) -> pathlib.Path:
        folder = self._path.parent
        if not folder.exists():
            folder.mkdir(parents=True)
            # Whatever the umask is: nova-compute has to read there.
            folder.chmod(0o755)
        return folder


class Reader:
    """Reads the verdict of a host.

    :param folder: the agent's.
    :param host: the host's name, for the agent and for Nova.
    :param max_age: seconds after which a verdict is not relied on.
    """

    def __init__(
        self, folder: str | os.PathLike[str], host: str, max_age: float
    ) -> None:
        self._path = path_of(folder, host)
        self._host = host
        self._max_age = max_age

    def read(self) -> Verdict:
        """Return the verdict.

        :raises NoVerdict: there is none, it is too old, or somebody else than
            the agent can have written it.
        """
        try:
            text = self._text()
        except OSError as error:
            raise self._no(
                f'it cannot be read ({error.strerror}); does '
                'pci-passthrough-agent run?'
            ) from error
        try:
            document = json.loads(text)
            verdict = Verdict(
                _texts(document['offered']), _texts(document['refused'])
            )
            about = document['format'], document['host'], document['boot_id']
            age = _uptime() - float(document['uptime'])
        except (KeyError, TypeError, ValueError) as error:
            raise self._no('it is no verdict') from error
        if about != (_FORMAT, self._host, _boot_id()):
            raise self._no('it is of another host, start or release')
        if not 0 <= age <= self._max_age:
            raise self._no(
                f'it is older than {self._max_age} seconds; does '
                'pci-passthrough-agent run?'
            )
        return verdict

    def _text(self) -> str:
        """Return the content of the file.

        :raises NoVerdict: somebody else than the agent can have written it.
        """
        folder = os.stat(self._path.parent)
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        with open(descriptor, encoding='utf-8') as file:
            status = os.fstat(descriptor)
            if status.st_uid not in (0, folder.st_uid) or any(
                each.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
                for each in (folder, status)
            ):
                raise self._no('others than the agent can write it')
            return file.read()

    def _no(self, why: str) -> NoVerdict:
        return NoVerdict(
            f"the agent's verdict about this host, {self._path}, is not "
            f'relied on: {why}'
        )


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in dict(value).items()}


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
