# SPDX-License-Identifier: Apache-2.0

"""The first process inside a simulated host's namespaces.

Started by :mod:`pci_passthrough.tests.lab.simulated_host` as
``unshare --mount --net --pid --uts … python -m …host_init FOLDER SHAPE
[SHARED...]``. It creates the host's root (an overlay on the machine's root,
discarded at the end), starts the simulated kernel and libvirtd, and then
executes the requests on its standard input, one JSON document per line. When
the standard input closes, all processes of the host end.
"""

from __future__ import annotations

import collections.abc
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import typing
import uuid

from pci_passthrough.demo import hosttree
from pci_passthrough.demo import inventory

_DEVICE_NODES = (
    'null', 'zero', 'full', 'random', 'urandom', 'tty', 'fuse', 'net/tun',
)  # fmt: skip
#: libvirt's directories, which are empty in the host.
_LIBVIRT_FOLDERS = (
    'etc/libvirt', 'var/lib/libvirt', 'var/cache/libvirt', 'var/log/libvirt',
)  # fmt: skip
_START_TIMEOUT = 120.0
_SYS = pathlib.Path('/sys')
_CONTROLS = _SYS / '.control'
_CONFIGURATION = pathlib.Path('/run/libvirtd.conf')

Answer = dict[str, typing.Any]


class UnsupportedError(Exception):
    """The machine's kernel does not support simulated hosts."""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UnsupportedError(f'{" ".join(command)}: {done.stderr.strip()}')


def _mount_tmpfs(target: pathlib.Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    _run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', str(target))


def _mount_of(path: pathlib.Path) -> pathlib.Path:
    """Return the mount point of a path."""
    path = path.resolve()
    while not path.is_mount():
        path = path.parent
    return path


def _needed_mounts() -> list[pathlib.Path]:
    # An overlay does not include file systems that are mounted below its
    # lower directory. So every file system with files that this process
    # needs gets its own overlay.
    needed = ['/', '/usr', '/etc', '/var', __file__]
    needed += [sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)]
    needed += [path for path in sys.path if os.path.exists(path)]
    return sorted({_mount_of(pathlib.Path(path)) for path in needed})


def make_root(
    folder: pathlib.Path, shared: collections.abc.Iterable[str]
) -> pathlib.Path:
    """Mount the host's root without ``/sys``; return its path."""
    scratch = folder / 'scratch'
    _mount_tmpfs(scratch)
    root = scratch / 'root'
    for number, lower in enumerate(_needed_mounts()):
        upper, work = scratch / f'upper{number}', scratch / f'work{number}'
        target = root / lower.relative_to('/')
        for place in (upper, work, target):
            place.mkdir(parents=True, exist_ok=True)
        options = f'lowerdir={lower},upperdir={upper},workdir={work}'
        _run('mount', '-t', 'overlay', '-o', options, 'overlay', str(target))
    _run('mount', '-t', 'proc', 'proc', str(root / 'proc'))
    for name in ('run', 'dev', 'sys', *_LIBVIRT_FOLDERS):
        _mount_tmpfs(root / name)
    for name in _DEVICE_NODES:
        if os.path.exists(f'/dev/{name}'):
            node = root / 'dev' / name
            node.parent.mkdir(exist_ok=True)
            node.touch()
            _run('mount', '--bind', f'/dev/{name}', str(node))
    for seen in (str(folder), *shared):
        inside = root / seen.lstrip('/')
        inside.mkdir(parents=True, exist_ok=True)
        _run('mount', '--bind', seen, str(inside))
    for name in ('dev/vfio', 'dev/shm', 'run/udev', 'run/lock', 'run/dbus'):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / 'dev/fd').symlink_to('/proc/self/fd')
    (root / 'dev/vfio/vfio').touch()
    # libudev receives no events unless udev's control socket exists.
    (root / 'run/udev/control').touch()
    return root


def _reap_until(worker: int) -> typing.NoReturn:
    """Reap zombies as process 1 of the pid namespace; end with ``worker``."""
    # Without a reaper libvirt waits 40 s for each QEMU that it probes.
    while True:
        pid, status = os.wait()
        if pid == worker:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _become_child() -> None:
    worker = os.fork()
    if worker:
        for number in (0, 1):
            os.close(number)
        _reap_until(worker)


def _start_kernel(shape: inventory.HostShape, log: pathlib.Path) -> None:
    """Fork the simulated kernel; return when its control files answer."""
    try:
        os.close(os.open('/dev/fuse', os.O_RDWR))
    except OSError as error:
        raise UnsupportedError(f'no FUSE: {error}') from error
    _CONTROLS.mkdir()
    log.touch()
    host = inventory.build_host(shape)
    hosttree.udev_records(host).write(pathlib.Path('/'))
    for device in host.usb_devices.values():
        node = pathlib.Path(f'/dev/bus/usb/{device.bus:03}/{device.number:03}')
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
    child = os.fork()
    if child == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(0)
        try:
            from pci_passthrough.tests.lab import control_files
            from pci_passthrough.tests.lab import kernel

            simulated = kernel.Kernel(host, _SYS, _CONTROLS)
            control_files.serve(simulated, _CONTROLS)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    deadline = time.monotonic() + _START_TIMEOUT
    while not (_CONTROLS / 'bus!pci!rescan').exists():
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            raise RuntimeError(
                f'the simulated kernel did not start: {log.read_text()}'
            )
        time.sleep(0.005)


class HostInit:
    """Executes the requests of the test process, one JSON line each."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self._folder = folder
        self._socket = folder / 'libvirt-sock'
        self._daemon: subprocess.Popen[bytes] | None = None
        identifier = uuid.uuid5(uuid.NAMESPACE_DNS, name)
        _CONFIGURATION.write_text(
            f'unix_sock_dir = "{folder}"\n'
            'unix_sock_rw_perms = "0777"\n'
            'auth_unix_ro = "none"\n'
            'auth_unix_rw = "none"\n'
            f'host_uuid = "{identifier}"\n'
            f'log_outputs = "3:file:{folder}/libvirtd.log"\n'
        )
        pathlib.Path('/etc/libvirt/qemu.conf').write_text(
            'user = "root"\n'
            'group = "root"\n'
            'security_driver = "none"\n'
            'stdio_handler = "file"\n'
            'cgroup_controllers = []\n'
            'namespaces = []\n'
            'remember_owner = 0\n'
        )

    def start_libvirtd(self) -> Answer:
        """Start libvirtd; return when its socket accepts connections."""
        self._socket.unlink(missing_ok=True)
        # The simulated /sys is no sysfs; by default libudev ignores it.
        environment = {**os.environ, 'SYSTEMD_DEVICE_VERIFY_SYSFS': '0'}
        with (self._folder / 'libvirtd.out').open('ab') as output:
            self._daemon = subprocess.Popen(
                ['libvirtd', '-f', str(_CONFIGURATION)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._accepts():
            if self._daemon.poll() is not None:
                said = (self._folder / 'libvirtd.out').read_text()
                return {'error': f'libvirtd ended: {said}'}
            if time.monotonic() > deadline:
                return {'error': 'libvirtd does not listen'}
            time.sleep(0.01)
        return {'pid': self._daemon.pid}

    def _accepts(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX) as client,
        ):
            client.connect(str(self._socket))
            return True
        return False

    def stop_libvirtd(self) -> Answer:
        """Kill libvirtd as in a crash; the simulated kernel keeps running."""
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGKILL)
            self._daemon.wait()
            self._daemon = None
        return {}

    def write(self, path: str, value: str) -> Answer:
        """Write a value into a file of the host."""
        try:
            pathlib.Path(path).write_text(value)
        except OSError as error:
            return {'errno': error.errno, 'error': str(error)}
        return {}

    def run(self, command: list[str]) -> Answer:
        """Run a program inside the host."""
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            return {'error': f'{command}: {done.stderr.strip()}'}
        return {'output': done.stdout}

    def device_number(self, path: str) -> Answer:
        """Return the number (``major:minor``) of a file's file system."""
        number = os.stat(path).st_dev
        return {'output': f'{os.major(number)}:{os.minor(number)}'}

    def serve(self) -> None:
        """Execute the requests on standard input until it closes."""
        for line in sys.stdin:
            request = json.loads(line)
            method = getattr(self, request.pop('do'))
            _answer(method(**request))


def _answer(answer: Answer) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Create the host, answer with the result, and serve requests."""
    folder = pathlib.Path(sys.argv[1])
    shape = inventory.HostShape(**json.loads(sys.argv[2]))
    # /proc is still the machine's: this is the pid outside the namespace.
    outer_pid = int(os.readlink('/proc/self'))
    began = time.monotonic()
    try:
        root = make_root(folder, sys.argv[3:])
        os.chroot(root)
        os.chdir('/')
        socket.sethostname(shape.name)
        _become_child()
        _run('ip', 'link', 'set', 'lo', 'up')
        _start_kernel(shape, folder / 'kernel.log')
    except UnsupportedError as error:
        _answer({'unsupported': str(error)})
        return
    host = HostInit(folder, shape.name)
    answer = host.start_libvirtd()
    _answer(
        {
            **answer,
            'host_pid': outer_pid,
            'seconds': time.monotonic() - began,
        }
    )
    if 'error' not in answer:
        host.serve()


if __name__ == '__main__':
    main()
