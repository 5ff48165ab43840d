# SPDX-License-Identifier: Apache-2.0

"""A fixture: a compute host with the real libvirtd, a simulated kernel."""

from __future__ import annotations

import collections.abc
import ctypes.util
import dataclasses
import glob
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing
import unittest

import fixtures
import libvirt

from pci_passthrough.demo import inventory
from pci_passthrough.tests.lab import kernel

_SOURCE_ROOT = pathlib.Path(__file__).parents[3]
#: Program to the Debian package that contains it.
_PROGRAMS = {
    'unshare': 'util-linux',
    'mount': 'mount',
    'ip': 'iproute2',
    'libvirtd': 'libvirt-daemon',
}
_QEMU_DRIVERS = (
    '/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so',
    '/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so',
)
_CONNECT_TIMEOUT = 120.0
# Not every user's PATH contains the directories of system programs.
_PATH = f'{os.environ.get("PATH", "")}:/usr/local/sbin:/usr/sbin:/sbin'


class LabError(Exception):
    """A simulated host could not be created, or refused a request."""


def missing_packages() -> list[str]:
    """Return what must be installed on this machine; see ``bindep.txt``."""
    missing = [
        f'{program} (package {package})'
        for program, package in _PROGRAMS.items()
        if shutil.which(program, path=_PATH) is None
    ]
    if not any(map(glob.glob, _QEMU_DRIVERS)):
        missing.append('the QEMU driver (package libvirt-daemon-driver-qemu)')
    if ctypes.util.find_library('fuse') is None:
        missing.append('libfuse.so.2 (package libfuse2)')
    if importlib.util.find_spec('fuse') is None:
        missing.append('the module fuse (Python package fusepy)')
    if os.geteuid() and shutil.which('sudo') is None:
        missing.append('sudo (package sudo), or be root')
    return missing


def _peer(interface: str) -> str:
    return f'peer-{interface}'[:15]


class SimulatedHost(fixtures.Fixture):
    """One compute host: libvirtd and a simulated ``/sys`` in namespaces.

    Several hosts can run at once. A host needs root (or ``sudo -n``),
    namespaces, overlay and FUSE. If the machine's kernel refuses these, the
    test is skipped with the reason. A missing package is an error.

    :param shape: the host's hardware.
    :param shared: directories of the machine that the host shares under the
        same path; all other files that the host writes are discarded.
    :ivar host: the model of the hardware, without later changes.
    :ivar uri: libvirt's URI of the host.
    :ivar host_root: the path of the host's ``/`` outside; readable for root.
    :ivar libvirtd_pid: the process id inside the host.
    """

    host: inventory.Host
    uri: str
    host_root: pathlib.Path
    libvirtd_pid: int

    def __init__(
        self,
        shape: inventory.HostShape,
        shared: collections.abc.Sequence[pathlib.Path] = (),
    ) -> None:
        super().__init__()
        self._shape = shape
        self._shared = shared
        self._process: subprocess.Popen[str] | None = None

    def setUp(self) -> None:
        """Start the host; it is ready when libvirt has listed its devices.

        :raises LabError: something is not installed, or libvirtd failed.
        :raises unittest.SkipTest: the machine's kernel refused.
        """
        # Not _setUp: fixtures would turn a skip into an error.
        if missing := missing_packages():
            raise LabError(f'not installed: {"; ".join(missing)}')
        super().setUp()
        try:
            self._start()
        except BaseException:
            self.cleanUp()
            raise

    def _start(self) -> None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix='pci-lab-'))
        self.addCleanup(shutil.rmtree, folder)
        self.host = inventory.build_host(self._shape)
        self.uri = f'qemu+unix:///system?socket={folder}/libvirt-sock'
        (folder / 'scratch').mkdir()
        command = [
            'unshare', '--mount', '--net', '--pid', '--uts', '--fork',
            '--kill-child', '--propagation', 'private',
            sys.executable, '-m', 'pci_passthrough.tests.lab.host_init',
            str(folder), json.dumps(dataclasses.asdict(self._shape)),
            *map(str, self._shared),
        ]  # fmt: skip
        if os.geteuid():
            command = ['sudo', '-n', *command]
        errors = tempfile.TemporaryFile('w+')
        self.addCleanup(errors.close)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=_SOURCE_ROOT,
            env={**os.environ, 'PATH': _PATH},
        )
        self.addCleanup(self._stop, self._process)
        answer = self._read_answer(self._process)
        if 'host_pid' not in answer:
            errors.seek(0)
            self._explain(answer, errors.read().strip())
        self._check(answer)
        self.libvirtd_pid = answer['pid']
        self.host_root = pathlib.Path(f'/proc/{answer["host_pid"]}/root')
        self._wait_for_devices()

    @staticmethod
    def _explain(
        answer: dict[str, typing.Any], errors: str
    ) -> typing.NoReturn:
        """Skip the test if the machine cannot run hosts, otherwise fail."""
        reason = answer.get('unsupported', errors)
        if 'unsupported' in answer or errors.startswith(('unshare:', 'sudo:')):
            raise unittest.SkipTest(f'no simulated host here: {reason}')
        raise LabError(reason)

    @staticmethod
    def _stop(process: subprocess.Popen[str]) -> None:
        # The host's first process ends when its standard input closes, and
        # all others of its pid namespace with it, also through sudo.
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @staticmethod
    def _read_answer(process: subprocess.Popen[str]) -> dict[str, typing.Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        answer: dict[str, typing.Any] = json.loads(line) if line else {}
        return answer

    @staticmethod
    def _check(answer: dict[str, typing.Any]) -> None:
        if 'errno' in answer:
            raise OSError(answer['errno'], answer['error'])
        if 'error' in answer:
            raise LabError(answer['error'])

    def _do(self, action: str, **arguments: object) -> dict[str, typing.Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise LabError('the host is not running')
        print(
            json.dumps({'do': action, **arguments}),
            file=process.stdin,
            flush=True,
        )
        answer = self._read_answer(process)
        if not answer and process.poll() is not None:
            raise LabError(f'the host ended: {process.returncode}')
        self._check(answer)
        return answer

    def connect(self) -> libvirt.virConnect:
        """Open a connection; the caller closes it."""
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        while True:
            try:
                return libvirt.open(self.uri)
            except libvirt.libvirtError:
                # The socket exists before the drivers are ready.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _wait_for_devices(self) -> None:
        connection = self.connect()
        try:
            # The first listing waits until libvirt has read all devices.
            connection.listAllDevices(0)
        finally:
            connection.close()

    def write(self, path: str, value: str) -> None:
        """Write a file of the host; ``path`` is absolute inside the host.

        :raises OSError: with the errno of the simulated kernel.
        """
        self._do('write', path=path, value=value)

    def _write_device(self, address: str, name: str, value: str) -> None:
        self.write(f'/sys/bus/pci/devices/{address}/{name}', value)

    def unplug(self, address: str) -> None:
        """Unplug a device with its VFs and all devices behind it."""
        self._write_device(address, 'remove', '1')

    def plug(self, address: str) -> None:
        """Put an unplugged device back, without VFs."""
        # A real rescan would bring back all unplugged devices.
        self.write('/sys/bus/pci/rescan', address)

    def set_numvfs(self, address: str, number: int) -> None:
        """Enable virtual functions, or none.

        :raises OSError: EBUSY while others are enabled, ERANGE for too many.
        """
        self._write_device(address, 'sriov_numvfs', str(number))

    def unbind(self, address: str) -> None:
        """Unbind a device from its driver.

        :raises OSError: ENOENT if it has none.
        """
        self._write_device(address, 'driver/unbind', address)

    def bind(self, address: str, driver: str) -> None:
        """Bind a device without driver.

        :raises OSError: EBUSY if it has a driver.
        """
        self.write(f'/sys/bus/pci/drivers/{driver}/bind', address)

    def freeze(self) -> None:
        """Make reading and writing of control files block until ``thaw``.

        A real kernel blocks while VFs are removed from a running guest.
        libvirt's listings do not block, because they read no control file.
        """
        self.write(str(kernel.FROZEN), '')

    def thaw(self) -> None:
        """Unblock the control files."""
        self.run('rm', '-f', str(kernel.FROZEN))

    def stop_libvirtd(self) -> None:
        """Kill libvirtd at once; the simulated kernel keeps running."""
        self._do('stop_libvirtd')

    def start_libvirtd(self) -> None:
        """Start libvirtd again; return when it has listed the devices."""
        self.libvirtd_pid = self._do('start_libvirtd')['pid']
        self._wait_for_devices()

    def run(self, *command: str) -> str:
        """Run a program inside the host; return its output."""
        return str(self._do('run', command=command)['output'])

    def add_link(self, interface: str) -> None:
        """Add an interface to the host's network namespace.

        The simulated NIC is only a directory. The interface is a veth with
        the NIC's name and MAC address, and is down.
        """
        mac = self.run('cat', f'/sys/class/net/{interface}/address')
        self.run(
            'ip', 'link', 'add', interface, 'address', mac.strip(),
            'type', 'veth', 'peer', 'name', _peer(interface),
        )  # fmt: skip

    def add_address(
        self, interface: str, cidr: str, gateway: str | None = None
    ) -> None:
        """Give an interface an address and optionally the default route."""
        if not self.run('ip', '-brief', 'link', 'show').count(f'{interface}@'):
            self.add_link(interface)
            for end in (_peer(interface), interface):
                self.run('ip', 'link', 'set', end, 'up')
        self.run('ip', 'address', 'add', cidr, 'dev', interface)
        if gateway is not None:
            self.run(
                'ip', 'route', 'add', 'default', 'via', gateway,
                'dev', interface,
            )  # fmt: skip

    def mount_disk(self, block: str, mount_point: str) -> None:
        """Mount a simulated disk or partition (``nvme0n1p1``).

        A tmpfs with the disk's name is mounted, and the tmpfs' device number
        becomes the disk's number, so that mountinfo and sysfs agree as for a
        real disk.
        """
        self.run('mkdir', '-p', mount_point)
        self.run('mount', '-t', 'tmpfs', f'/dev/{block}', mount_point)
        number = self._do('device_number', path=mount_point)['output']
        path = f'/sys/class/block/{block}'
        old = self.run('cat', f'{path}/dev').strip()
        target = self.run('readlink', f'/sys/dev/block/{old}').strip()
        self.write(f'{path}/dev', f'{number}\n')
        self.run('rm', f'/sys/dev/block/{old}')
        self.run('ln', '-sfn', target, f'/sys/dev/block/{number}')

    def unmount_disk(self, mount_point: str) -> None:
        """Unmount a disk that :meth:`mount_disk` has mounted."""
        self.run('umount', mount_point)
