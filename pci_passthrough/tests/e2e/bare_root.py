# SPDX-License-Identifier: Apache-2.0
"""Machines on which nothing of this project is installed."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Final

import fixtures

from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.lab import host_init

_PYTHON: Final = pathlib.Path(sys.base_prefix) / 'bin'
_PATH: Final = (
    f'{_PYTHON}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
)
_SITE: Final = (
    f'lib/python{sys.version_info.major}.{sys.version_info.minor}'
    '/site-packages'
)

#: What an environment has of this project, and of an editable installation.
_OURS: Final = ('pci_passthrough', 'pci-passthrough', '__editable__')

#: Variables with which pip takes nothing from a network.
OFFLINE: Final = {
    'PIP_NO_INDEX': '1',
    'PIP_NO_BUILD_ISOLATION': '0',
    'PIP_CONFIG_FILE': '/dev/null',
    'PIP_DISABLE_PIP_VERSION_CHECK': '1',
    'PIP_ROOT_USER_ACTION': 'ignore',
    'PIP_QUIET': '1',
    # Python compiles what it imports.
    'PIP_NO_COMPILE': '1',
}


class Machine:
    """A root directory and a host name; commands run in it as root.

    :param name: its name in errors.
    :param pid: a process whose namespaces it is.
    """

    def __init__(self, name: str, pid: int | str, *more: str) -> None:
        self.name = name
        self.root = pathlib.Path(f'/proc/{pid}/root')
        self._prefix = [
            'nsenter', f'--target={pid}', '--mount', '--uts', '--root', '--wd',
            *more,
        ]  # fmt: skip
        self._bare()

    def _bare(self) -> None:
        """Hide what the tests' own machine has installed."""
        self.run('mount -t tmpfs -o mode=755 tmpfs /opt')
        self.run(
            'rm -rf /etc/pci_passthrough /etc/nova'
            ' /etc/systemd/system/pci-passthrough* /root/pci_passthrough*'
            ' /usr/local/bin/pci-passthrough*'
        )
        self.run(
            r"sed -i '/^\(pci-passthrough\|nova\):/d'"
            ' /etc/passwd /etc/group /etc/shadow /etc/gshadow'
        )
        self.run(
            'echo 127.0.0.1 localhost controller $(hostname) > /etc/hosts'
        )
        self.run('chmod 1777 /dev/shm')
        # Other users run the Python of the tests.
        for place in {_PYTHON, pathlib.Path(sys.prefix)}:
            for folder in (place, *place.parents):
                self.run(f'chmod o+rx {folder}')

    def command(
        self,
        text: str,
        folder: str = '/',
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> list[str]:
        """Return the command that runs a shell's command in the machine."""
        kept = {'PATH': _PATH, 'LANG': 'C.UTF-8', **(variables or {})}
        who: Sequence[str] = ()
        if user is not None:
            who = (
                'setpriv', f'--reuid={user}', f'--regid={user}',
                '--init-groups', '--bounding-set=-all', '--no-new-privs',
            )  # fmt: skip
        return [
            *self._prefix, '--', *who, 'env', '--ignore-environment',
            *(f'{name}={value}' for name, value in kept.items()),
            'bash', '-euc', f'cd {folder}\n{text}',
        ]  # fmt: skip

    def run(
        self,
        text: str,
        folder: str = '/',
        variables: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command of a shell; return its output.

        :raises CloudError: it failed.
        """
        done = subprocess.run(
            self.command(text, folder, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=processes.PATIENCE,
            check=False,
        )
        if done.returncode:
            raise processes.CloudError(
                f'{self.name}: {text}\nended with {done.returncode}:\n'
                + done.stdout
            )
        return done.stdout

    def outside(self, path: str) -> pathlib.Path:
        """Return the path of a file of the machine, seen from outside."""
        return self.root / path.lstrip('/')

    def fill(self, environment: str) -> None:
        """Put into a new Python environment what pip would fetch.

        That is what the tests' own environment has, but for this project.
        """
        target, source = self.outside(environment), pathlib.Path(sys.prefix)
        for path in (source / _SITE).iterdir():
            link = target / _SITE / path.name
            if not path.name.startswith(_OURS) and not _is_there(link):
                link.symlink_to(path)
        for path in (source / 'bin').iterdir():
            copy = target / 'bin' / path.name
            if (
                path.is_file()
                and not path.name.startswith(_OURS)
                and not _is_there(copy)
            ):
                _copy_program(path, copy, source, environment)


def _is_there(path: pathlib.Path) -> bool:
    # Links lead to files of the machine, which are not there outside.
    return path.is_symlink() or path.exists()


def _copy_program(
    path: pathlib.Path, copy: pathlib.Path, source: pathlib.Path, new: str
) -> None:
    content = path.read_bytes()
    first = f'#!{source}/bin/python'.encode()
    if content.startswith(first):
        content = content.replace(first, f'#!{new}/bin/python'.encode(), 1)
    copy.write_bytes(content)
    copy.chmod(0o755)


class BareRoot(fixtures.Fixture):
    """A machine in namespaces, over a copy of this machine's files.

    :param name: its host name.
    :param shared: directories of this machine that it shares.
    :ivar machine: the machine.
    """

    machine: Machine

    def __init__(self, name: str, *shared: pathlib.Path) -> None:
        super().__init__()
        self._name = name
        self._shared = shared

    def _setUp(self) -> None:
        folder = tempfile.mkdtemp(prefix='pci-root-')
        self.addCleanup(shutil.rmtree, folder)
        holder = subprocess.Popen(
            ['unshare', '--mount', '--uts', '--propagation', 'private',
             sys.executable, '-m', __name__, folder, self._name,
             *map(str, self._shared)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert holder.stdin and holder.stdout
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        self.machine = Machine(self._name, int(holder.stdout.readline()))


def main(folder: str, name: str, *shared: str) -> None:
    """Become the process that holds a machine, until standard input ends."""
    root = host_init.make_root(pathlib.Path(folder), shared)
    os.chroot(root)
    os.chdir('/')
    socket.sethostname(name)
    print(os.getpid(), flush=True)
    sys.stdin.read()


if __name__ == '__main__':
    main(*sys.argv[1:])
