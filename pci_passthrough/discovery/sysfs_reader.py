# SPDX-License-Identifier: Apache-2.0
"""Reads a host's sysfs, procfs and udev database, for data not in libvirt.

Decides nothing: ``in_use`` evaluates the facts. The files are described in
the kernel's Documentation/ABI/testing/sysfs-bus-pci and in proc(5).
"""

from collections.abc import Mapping
import os
import re

from oslo_log import log

from pci_passthrough.discovery import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use

LOG = log.getLogger(__name__)

_FUNCTIONS = 'sys/bus/pci/devices'
_BLOCK_DEVICES = 'sys/class/block'
_INTERFACES = 'sys/class/net'
_FRAMEBUFFERS = 'sys/class/graphics'

_ADDRESS = re.compile(
    r'[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]', re.ASCII
)
#: Block device of an NVMe namespace, ``nvme<subsystem>n<namespace>``.
_NVME_HEAD = re.compile(r'nvme(?P<subsystem>\d+)n(?P<namespace>\d+)')
_UPPER = 'upper_'


class SysfsReader:
    """Reads the facts about a host from the files below its root directory.

    :param path: the host's root directory: ``/`` for this machine,
        ``/proc/PID/root`` for a simulated host.
    """

    def __init__(self, path: str = '/') -> None:
        self.path = path
        self._files = chroot_files.ChrootFiles(path)

    def reason_not_in_sysfs(self) -> str:
        """Return the reason to refuse a function that sysfs does not show."""
        return f'{in_use.USE_UNKNOWN}sysfs below {self.path} does not show it'

    def _read_function(self, address: str) -> host_facts.Function | None:
        """Return a function's facts, None if it is missing or unreadable."""
        try:
            folder = self._files.resolve(f'{_FUNCTIONS}/{address}')
            return self._function(address, folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            # The scan refuses functions without facts.
            LOG.warning(
                'Could not read PCI function %s below %s; it is not '
                'offered: %s',
                address,
                self.path,
                error,
            )
            return None

    def facts(self) -> host_facts.HostFacts:
        """Read all facts that ``in_use`` evaluates.

        An unreadable file does not raise; ``HostFacts.unreadable`` has the
        error.
        """
        functions = {}
        # Since the last call a directory may have disappeared with its
        # device.
        self._files = chroot_files.ChrootFiles(self.path)
        try:
            for address in self._files.names(_FUNCTIONS):
                function = self._read_function(address)
                if function is not None:
                    functions[address] = function
            return self._facts(functions)
        except (OSError, ValueError) as error:
            LOG.warning(
                'Could not read which devices the host below %s uses; '
                'none is offered: %s',
                self.path,
                error,
            )
            return host_facts.HostFacts(
                functions=functions,
                block_devices={},
                interfaces={},
                unreadable=str(error),
            )

    def _facts(
        self, functions: Mapping[str, host_facts.Function]
    ) -> host_facts.HostFacts:
        files = self._files
        # A kernel without swap or IPv6 lacks some files. The mount table and
        # the IPv4 routes exist on every compute host.
        return host_facts.HostFacts(
            functions=functions,
            block_devices=self._block_devices(),
            interfaces=self._interfaces(),
            mountinfo=files.read('proc/1/mountinfo'),
            swaps=files.read_if_exists('proc/swaps') or '',
            btrfs_members=self._btrfs_members(),
            ipv4_routes=files.read('proc/1/net/route'),
            ipv6_addresses=files.read_if_exists('proc/1/net/if_inet6') or '',
            ipv6_routes=files.read_if_exists('proc/1/net/ipv6_route') or '',
            framebuffers=self._framebuffers(),
        )

    def _function(self, address: str, folder: str) -> host_facts.Function:
        """Read one function, but never ``sriov_numvfs``.

        Reading ``sriov_numvfs`` blocks, uninterruptibly, while the kernel
        waits for a guest to release a virtual function.
        """
        files = self._files
        names = frozenset(files.names(folder))

        def text(name: str) -> str | None:
            return (
                files.read(f'{folder}/{name}').strip()
                if name in names
                else None
            )

        def target(name: str) -> str | None:
            if name not in names:
                return None
            return os.path.basename(files.link(f'{folder}/{name}'))

        total_vfs = int(text('sriov_totalvfs') or 0)
        return host_facts.Function(
            address=address,
            pci_class=_hex(text('class'), 6),
            subsystem_vendor_id=_hex(text('subsystem_vendor'), 4),
            subsystem_id=_hex(text('subsystem_device'), 4),
            driver=target('driver'),
            total_vfs=total_vfs or None,
            physical_function=target('physfn'),
            boot_vga=text('boot_vga') == '1',
        )

    def _block_devices(self) -> dict[str, host_facts.BlockDevice]:
        blocks = {}
        for name in self._files.names(_BLOCK_DEVICES):
            folder = self._files.resolve_if_exists(f'{_BLOCK_DEVICES}/{name}')
            block = self._block_device(name, folder) if folder else None
            if block is not None:
                blocks[name] = block
        return blocks

    def _block_device(
        self, name: str, folder: str
    ) -> host_facts.BlockDevice | None:
        """Read one block device, None if it has no device number.

        It has disappeared, or it is a hidden path of an NVMe multipath
        device, which cannot be opened.
        """
        files = self._files
        number = files.read_if_exists(f'{folder}/dev')
        if number is None:
            return None
        number = number.strip()
        parent = os.path.dirname(folder)
        is_partition = 'partition' in files.names(folder)
        size = files.read_if_exists(f'{folder}/size')
        mapper_name = files.read_if_exists(f'{folder}/dm/name')
        record = files.read_if_exists(f'run/udev/data/b{number}')
        return host_facts.BlockDevice(
            name=name,
            number=number,
            disk=os.path.basename(parent) if is_partition else None,
            lower=tuple(files.names(f'{folder}/slaves')),
            holders=tuple(files.names(f'{folder}/holders')),
            functions=self._nvme_functions(folder) or _functions_in(folder),
            mapper_name=mapper_name.strip() if mapper_name else None,
            is_empty=size is not None and size.strip() == '0',
            is_probed=record is not None,
            signature=_udev_property(record or '', 'ID_FS_TYPE'),
        )

    def _nvme_functions(self, folder: str) -> tuple[str, ...]:
        """Return the PCI functions of an NVMe multipath device's controllers.

        ``nvme0n1`` is a child of ``nvme-subsys0``, which links to its
        controllers. A controller ``nvme2`` that serves this namespace has a
        hidden child ``nvme0c2n1``. Older kernels do not show this child;
        then all controllers of the subsystem are returned.
        """
        subsystem, _, rest = folder.partition('/nvme-subsystem/')
        if not rest:
            return ()
        instance, _, block = rest.partition('/')
        head = _NVME_HEAD.match(block)
        folder = f'{subsystem}/nvme-subsystem/{instance}'
        serving: list[str] = []
        every: list[str] = []
        for name in self._files.names(folder):
            if not re.fullmatch(r'nvme\d+', name):
                continue
            controller = self._files.resolve(f'{folder}/{name}')
            every.extend(_functions_in(controller))
            if head is not None and (
                f'nvme{head["subsystem"]}c{name.removeprefix("nvme")}'
                f'n{head["namespace"]}'
            ) in self._files.names(controller):
                serving.extend(_functions_in(controller))
        return tuple(serving or every)

    def _btrfs_members(self) -> tuple[str, ...]:
        return tuple(
            name
            for file_system in self._files.names('sys/fs/btrfs')
            for name in self._files.names(
                f'sys/fs/btrfs/{file_system}/devices'
            )
        )

    def _interfaces(self) -> dict[str, host_facts.Interface]:
        interfaces = {}
        for name in self._files.names(_INTERFACES):
            # bonding_masters is a file in the same folder.
            folder = self._files.resolve_if_exists(f'{_INTERFACES}/{name}')
            if folder is None or folder == f'{_INTERFACES}/{name}':
                continue
            interfaces[name] = self._interface(name, folder)
        return interfaces

    def _interface(self, name: str, folder: str) -> host_facts.Interface:
        entries = self._files.names(folder)
        master = None
        if 'master' in entries:
            master = os.path.basename(self._files.link(f'{folder}/master'))
        uevent = self._files.read_if_exists(f'{folder}/uevent') or ''
        return host_facts.Interface(
            name=name,
            functions=_functions_in(folder),
            master=master,
            upper=tuple(
                entry.removeprefix(_UPPER)
                for entry in entries
                if entry.startswith(_UPPER)
            ),
            kind=_property(uevent, 'DEVTYPE=') or '',
        )

    def _framebuffers(self) -> tuple[tuple[str, ...], ...]:
        return tuple(
            _functions_in(self._files.resolve(f'{_FRAMEBUFFERS}/{name}'))
            for name in self._files.names(_FRAMEBUFFERS)
            if re.fullmatch(r'fb\d+', name)
        )


def _functions_in(path: str) -> tuple[str, ...]:
    """Return all PCI addresses in a sysfs path.

    A path contains bridges, which are never offered, and may contain a VMD
    controller, which must not be offered either.
    """
    return tuple(part for part in path.split('/') if _ADDRESS.fullmatch(part))


def _hex(text: str | None, digits: int) -> str | None:
    return None if text is None else f'{int(text, 16):0{digits}x}'


def _udev_property(record: str, name: str) -> str | None:
    """Return a property of a udev database record (``E:NAME=value``)."""
    return _property(record, f'E:{name}=')


def _property(text: str, start: str) -> str | None:
    for line in text.splitlines():
        if line.startswith(start):
            return line.removeprefix(start)
    return None
