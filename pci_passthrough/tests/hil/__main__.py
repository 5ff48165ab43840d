# SPDX-License-Identifier: Apache-2.0
"""``make hil``: boots a virtual machine in which ``guest`` runs.

Its kernel and nvme-cli are Debian's, its NVMe controllers QEMU's, and its
Python is the one that runs this module. Nothing of the machine is changed:
the packages are unpacked into a temporary folder. It needs apt-get, mke2fs and
qemu-system-x86_64, and takes a few minutes: QEMU emulates the processor.
"""

from collections.abc import Iterable
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from pci_passthrough.tests.hil import guest

_SOURCE = pathlib.Path(__file__).parents[3]
_PACKAGES = ('nvme-cli', 'libnvme1', 'busybox-static')
_KERNEL = 'linux-image-cloud-amd64'
#: What Python and its extension modules do not need in the machine.
_LEFT_OUT = (
    'test', 'tests', 'idlelib', 'ensurepip', 'mypy', 'sphinx',
    'babel', 'openstack', 'openstackclient', '*.a', '*mypyc*.so', 'ruff*',
)  # fmt: skip

_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t tmpfs tmpfs /tmp
export PATH=/usr/sbin:/usr/bin:/bin PYTHONPATH={source} HOME=/tmp
export PYTHONWARNINGS=ignore
{python} -m pci_passthrough.tests.hil.guest
/bin/busybox poweroff -f
"""

#: The first controller has the machine's root; the others are guests'.
_DEVICES = (
    '-drive', 'if=none,id=root,format=raw,file={image}',
    '-device', 'nvme,serial=root,drive=root',
    '-drive', 'if=none,id=disk,format=raw,file={disk}',
    '-device', f'nvme,serial={guest.ALONE},drive=disk',
    '-device', 'nvme-subsys,id=both',
    '-device', f'nvme,serial={guest.SHARED},subsys=both',
    '-device', f'nvme,serial={guest.SHARED},subsys=both',
)  # fmt: skip


def main() -> int:
    """Return 0 if all is as it should be in the virtual machine."""
    with tempfile.TemporaryDirectory(prefix='pci-hil-') as name:
        folder = pathlib.Path(name)
        root = folder / 'root'
        _unpack(folder / 'packages', root)
        _add_python(root)
        [kernel] = (root / 'boot').glob('vmlinuz-*')
        image, disk = folder / 'image', folder / 'disk'
        shutil.move(kernel, folder / 'kernel')
        shutil.rmtree(root / 'lib/modules', ignore_errors=True)
        _run('mke2fs', '-q', '-t', 'ext4', '-d', root, image, '2G')
        disk.write_bytes(bytes(64 << 20))
        output = _boot(folder / 'kernel', image, disk)
    return 0 if guest.PASSED in output else 1


def _run(*words: str | pathlib.Path, cwd: pathlib.Path | None = None) -> str:
    return subprocess.run(
        list(map(str, words)),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
    ).stdout


def _unpack(packages: pathlib.Path, root: pathlib.Path) -> None:
    packages.mkdir()
    root.mkdir()
    kernel = re.search(
        r'Depends: (linux-image-\S+)', _run('apt-cache', 'depends', _KERNEL)
    )
    if kernel is None:
        raise LookupError(f'{_KERNEL} depends on no kernel')
    _run('apt-get', 'download', kernel[1], *_PACKAGES, cwd=packages)
    for package in packages.iterdir():
        _run('dpkg-deb', '--extract', package, root)


def _add_python(root: pathlib.Path) -> None:
    """Add this Python with its libraries, under the paths that it has here."""
    prefix = pathlib.Path(sys.base_prefix)
    ignored = shutil.ignore_patterns(*_LEFT_OUT, 'site-packages')
    _copy(root, prefix / 'lib', ignored)
    _copy(root, prefix / 'bin', None)
    _copy(root, pathlib.Path(sys.prefix), shutil.ignore_patterns(*_LEFT_OUT))
    _copy(
        root,
        _SOURCE / 'pci_passthrough',
        shutil.ignore_patterns('cases', 'e2e', 'nova'),
    )
    _copy_file(root, pathlib.Path('/usr/bin/setpriv'))
    binaries = [
        pathlib.Path(sys.executable).resolve(),
        pathlib.Path('/usr/bin/setpriv'),
        root / 'usr/sbin/nvme',
        *root.joinpath(prefix.relative_to('/')).rglob('*.so'),
        *root.joinpath(pathlib.Path(sys.prefix).relative_to('/')).rglob(
            '*.so'
        ),
    ]
    for library in _libraries(binaries, root / 'usr/lib/x86_64-linux-gnu'):
        _copy_file(root, library)
    for name in ('proc', 'sys', 'dev', 'tmp', 'etc'):
        (root / name).mkdir(exist_ok=True)
    init = root / 'sbin' / 'init'
    init.parent.mkdir(exist_ok=True)
    init.write_text(_INIT.format(source=_SOURCE, python=sys.executable))
    init.chmod(0o755)


def _copy(root: pathlib.Path, folder: pathlib.Path, ignore: object) -> None:
    shutil.copytree(
        folder,
        root / folder.relative_to('/'),
        symlinks=True,
        ignore=ignore,  # type: ignore[arg-type]
        dirs_exist_ok=True,
    )


def _copy_file(root: pathlib.Path, file: pathlib.Path) -> None:
    place = root / file.relative_to('/')
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        shutil.copy(file, place)


def _libraries(
    binaries: Iterable[pathlib.Path], unpacked: pathlib.Path
) -> set[pathlib.Path]:
    """Return the shared libraries of this machine that programs need."""
    output = subprocess.run(
        ['ldd', *binaries],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, 'LD_LIBRARY_PATH': str(unpacked)},
    ).stdout
    return {
        pathlib.Path(path)
        for path in re.findall(r'(/\S+) \(0x', output)
        if not path.startswith(str(unpacked))
    }


def _boot(
    kernel: pathlib.Path, image: pathlib.Path, disk: pathlib.Path
) -> str:
    """Boot the machine until it powers itself off; return its console."""
    devices = [word.format(image=image, disk=disk) for word in _DEVICES]
    command = [
        'qemu-system-x86_64', '-accel', 'tcg', '-machine', 'q35', '-m', '1024',
        '-cpu', 'max', '-smp', '2', '-nodefaults', '-no-user-config',
        '-display', 'none', '-serial', 'stdio', '-monitor', 'none',
        '-no-reboot', '-kernel', str(kernel), '-append',
        'console=ttyS0 quiet root=/dev/nvme0n1 rw panic=-1', *devices,
    ]  # fmt: skip
    lines = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors='replace',
    ) as machine:
        assert machine.stdout is not None
        for line in machine.stdout:
            print(line, end='', flush=True)
            lines.append(line)
    return ''.join(lines)


if __name__ == '__main__':
    sys.exit(main())
