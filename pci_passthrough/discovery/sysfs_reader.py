# SPDX-License-Identifier: Apache-2.0
"""Reads a host's sysfs, procfs and udev database, for data not in libvirt.

Decides nothing: ``in_use`` and ``deliverable`` evaluate the facts. The files
are described in the kernel's Documentation/ABI/testing/sysfs-bus-pci and in
proc(5).
"""

import os
import re

from oslo_log import log

from pci_passthrough import chroot_files
from pci_passthrough.discovery import block_reader
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import interface_reader
from pci_passthrough.discovery import open_nodes
from pci_passthrough.discovery import read_errors
from pci_passthrough.discovery import serial_numbers

LOG = log.getLogger(__name__)

_FUNCTIONS = 'sys/bus/pci/devices'
_FRAMEBUFFERS = 'sys/class/graphics'
_USB_DEVICES = 'sys/bus/usb/devices'

_STORAGE = host_facts.Subject.STORAGE
_NETWORK = host_facts.Subject.NETWORK
#: Directory of a mediated device, a child of its parent's directory
#: (Documentation/driver-api/vfio-mediated-device.rst).
_MEDIATED_DEVICE = re.compile(
    r'[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}', re.ASCII | re.IGNORECASE
)
#: Of a virtual function of a vGPU card, while NVIDIA's driver is bound; see
#: "Virtual GPU Software User Guide", vendor-specific VFIO framework.
_VGPU_TYPE = 'nvidia/current_vgpu_type'
_NUMBER = re.compile(r'-?\d+', re.ASCII)


class SysfsReader:
    """Reads the facts about a host from the files below its root directory.

    :param path: the host's root directory: ``/`` for this machine,
        ``/proc/PID/root`` for a simulated host.
    """

    def __init__(self, path: str = '/') -> None:
        self.path = path
        self._files = chroot_files.ChrootFiles(path)
        self.serial_numbers = serial_numbers.SerialNumbers(path)

    def reason_not_in_sysfs(self) -> str:
        """Return the reason to refuse a function that sysfs does not show."""
        return f'{in_use.USE_UNKNOWN}sysfs below {self.path} does not show it'

    def facts(self) -> host_facts.HostFacts:
        """Read all facts that ``in_use`` evaluates.

        An unreadable file does not raise; ``HostFacts.unreadable`` has the
        errors.
        """
        # Since the last call a directory may have disappeared with its
        # device.
        self._files = files = chroot_files.ChrootFiles(self.path)
        errors = read_errors.ReadErrors(files)
        functions = self._functions(errors)
        interfaces, network = interface_reader.interfaces_and_network(
            files, errors
        )
        # A kernel without swap lacks the file.
        return host_facts.HostFacts(
            functions=functions,
            block_devices=block_reader.block_devices(files, errors),
            interfaces=interfaces,
            mountinfo=errors.read(
                _STORAGE, lambda: files.read('proc/1/mountinfo'), ''
            ),
            swaps=errors.read(
                _STORAGE, lambda: files.read_if_exists('proc/swaps') or '', ''
            ),
            btrfs_members=errors.read(
                _STORAGE,
                lambda: block_reader.btrfs_members(files),
                tuple[str, ...](),
            ),
            network=network,
            remote_storage=errors.read(
                _NETWORK,
                lambda: block_reader.remote_storage(files),
                tuple[host_facts.RemoteStorage, ...](),
            ),
            fibre_channel_nvme=errors.read(
                _STORAGE,
                lambda: block_reader.fibre_channel_nvme(files),
                tuple[str, ...](),
            ),
            framebuffers=errors.read(
                host_facts.Subject.DISPLAY,
                self._framebuffers,
                tuple[tuple[str, ...], ...](),
            ),
            usb_devices=self._usb_devices(errors),
            unreadable=tuple(errors.unreadable),
        )

    def _usb_devices(
        self, errors: read_errors.ReadErrors
    ) -> dict[str, tuple[str, ...]]:
        classes: dict[str, list[str]] = {}
        for name in errors.names(_STORAGE, _USB_DEVICES):
            device, _, interface = name.partition(':')
            if host_facts.USB_DEVICE.fullmatch(device):
                known = classes.setdefault(device, [])
                if interface:
                    known += self._usb_class(f'{_USB_DEVICES}/{name}')
        return {name: tuple(known) for name, known in classes.items()}

    def _usb_class(self, folder: str) -> list[str]:
        """Return the class of an interface, or nothing."""
        try:
            return [self._files.read(f'{folder}/bInterfaceClass').strip()]
        except OSError:
            return []

    def _functions(
        self, errors: read_errors.ReadErrors
    ) -> dict[str, host_facts.Function]:
        return errors.read_objects(
            host_facts.Subject.FUNCTION, _FUNCTIONS, self._function
        )

    def _function(self, address: str, folder: str) -> host_facts.Function:
        """Read one function, but never ``sriov_numvfs``.

        Reading ``sriov_numvfs`` blocks, uninterruptibly, while the kernel
        waits for a guest to release a virtual function.
        """
        files = self._files
        names = frozenset(files.entries(folder))

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

        def number(name: str) -> int | None:
            """Return a descriptive fact; None if it is no number."""
            value = text(name)
            if value is None or _NUMBER.fullmatch(value):
                return None if value is None else int(value)
            LOG.warning(
                'Device %s: its %s is not recorded: %r is no number',
                address,
                name,
                value,
            )
            return None

        numa_node = number('numa_node')
        group = target('iommu_group')
        vgpu_type = None
        if 'nvidia' in names:
            vgpu_type = files.read_if_exists(f'{folder}/{_VGPU_TYPE}')
        return host_facts.Function(
            address=address,
            pci_class=_hex(text('class'), 6),
            vendor_id=_hex(text('vendor'), 4),
            product_id=_hex(text('device'), 4),
            subsystem_vendor_id=_hex(text('subsystem_vendor'), 4),
            subsystem_id=_hex(text('subsystem_device'), 4),
            driver=target('driver'),
            total_vfs=number('sriov_totalvfs') or None,
            physical_function=target('physfn'),
            boot_vga=text('boot_vga') == '1',
            numa_node=None if (numa_node or 0) < 0 else numa_node,
            iommu_group=None if group is None else int(group),
            has_secondary_bus='secondary_bus_number' in names,
            has_mediated_devices=any(map(_MEDIATED_DEVICE.fullmatch, names)),
            supports_mediated_devices='mdev_supported_types' in names,
            vgpu_type=None if vgpu_type is None else vgpu_type.strip(),
            lacks_vfio_node=open_nodes.lacks_node(
                files, target('driver'), group
            ),
        )

    def _framebuffers(self) -> tuple[tuple[str, ...], ...]:
        return tuple(
            host_facts.functions_in(folder)
            for name in self._files.names(_FRAMEBUFFERS)
            if re.fullmatch(r'fb\d+', name)
            and (
                folder := self._files.resolve_if_exists(
                    f'{_FRAMEBUFFERS}/{name}'
                )
            )
        )


def _hex(text: str | None, digits: int) -> str | None:
    return None if text is None else f'{int(text, 16):0{digits}x}'
