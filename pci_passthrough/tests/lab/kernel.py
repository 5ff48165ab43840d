# SPDX-License-Identifier: Apache-2.0

"""The simulated kernel's PCI core.

It keeps a host's ``/sys`` in a tmpfs equal to a
:class:`pci_passthrough.demo.inventory.Host`, changes the host when control
files are written, and announces each change with udev's events. The errors of
the control files are those of a real kernel 6.1.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import shutil
import time

from pci_passthrough.demo import hosttree
from pci_passthrough.demo import inventory
from pci_passthrough.demo import mediated
from pci_passthrough.tests.lab import sysfs
from pci_passthrough.tests.lab import udev_events

#: Files whose writing has an effect; all others are plain tmpfs files.
CONTROL_FILES = frozenset(
    (
        'bind', 'create', 'driver_override', 'drivers_probe', 'new_id',
        'remove', 'remove_id', 'rescan', 'reset', 'sriov_numvfs', 'unbind',
    )
)  # fmt: skip

#: While this file exists, reads and writes of control files block.
FROZEN = pathlib.Path('/run/kernel-is-frozen')


def control_name(path: str) -> str:
    """Return the name of a control file in the flat FUSE folder."""
    return path.replace('/', '!')


class Kernel:
    """Answers writes to control files.

    :param host: the devices; the kernel changes them.
    :param root: the path of the host's ``/sys``.
    :param controls: the folder below ``root`` where FUSE shows the control
        files; the tmpfs has relative links to them, so that the tree also
        works through ``/proc/PID/root``.
    """

    def __init__(
        self, host: inventory.Host, root: pathlib.Path, controls: pathlib.Path
    ) -> None:
        self._host = host
        self._root = root
        self._controls = controls
        self._events = udev_events.UdevEvents()
        #: contents of the control files, by path below /sys
        self.contents: dict[str, bytes] = {}
        self._unplugged: dict[str, inventory.Device] = {}
        # Files that exist only while the device's host driver is bound.
        self._dormant: dict[
            str,
            tuple[inventory.NetInterface | None, inventory.BlockDevice | None],
        ] = {}
        self._put(sysfs.build_tree(host))

    def _put(self, tree: hosttree.Tree) -> None:
        mirrored = hosttree.Tree()
        for path, entry in tree.items():
            leaf = path.rpartition('/')[2]
            if leaf not in CONTROL_FILES or not isinstance(entry, bytes):
                mirrored[path] = entry
                continue
            self.contents[path] = entry
            target = self._controls / control_name(path)
            place = self._root / path
            mirrored[path] = hosttree.Symlink(
                os.path.relpath(target, place.parent)
            )
        mirrored.write(self._root)

    def _drop(self, path: str) -> None:
        place = self._root / path
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
        for name in [
            name
            for name in self.contents
            if name == path or name.startswith(f'{path}/')
        ]:
            del self.contents[name]

    def _announce(self, action: str, device: inventory.Device) -> None:
        self._events.send(
            action,
            self._host.path(device.address),
            'pci',
            sysfs.uevent(device),
        )

    def _announce_children(
        self, action: str, device: inventory.Device
    ) -> None:
        path = self._host.path(device.address)
        if (interface := device.interface) is not None:
            self._events.send(
                action,
                f'{path}/net/{interface.name}',
                'net',
                (
                    f'INTERFACE={interface.name}',
                    f'IFINDEX={interface.index}',
                ),
            )

    def _unbind(self, device: inventory.Device) -> None:
        if device.driver is None:
            return
        path, address = self._host.path(device.address), device.address
        self._announce_children('remove', device)
        if device.interface is not None:
            self._drop(f'class/net/{device.interface.name}')
            self._drop(f'{path}/net')
        if device.disk is not None:
            for block in (device.disk, *device.disk.partitions):
                self._drop(f'class/block/{block.name}')
                self._drop(f'dev/block/{block.major}:{block.minor}')
            self._drop(f'block/{device.disk.name}')
            self._drop(f'{path}/nvme')
        self._drop_mediated(device)
        if device.driver == device.model.driver:
            self._dormant[address] = (device.interface, device.disk)
            device.interface = device.disk = None
        self._drop(f'bus/pci/drivers/{device.driver}/{address}')
        self._drop(f'{path}/driver')
        was_vfio = device.driver == 'vfio-pci'
        device.driver = None
        self._put_bound(device)
        if was_vfio:
            self._show_vfio_group(device.iommu_group)
        self._announce('unbind', device)

    def _drop_mediated(self, device: inventory.Device) -> None:
        if mediated.makes_devices(device):
            for identifier in list(device.mediated):
                self._remove_mediated(device.address, identifier)
            path = self._host.path(device.address)
            self._drop(f'{path}/mdev_supported_types')
            self._drop(f'class/mdev_bus/{device.address}')

    def _put_bound(self, device: inventory.Device) -> None:
        tree = hosttree.Tree()
        sysfs.add_bound(tree, self._host, device)
        self._put(tree)

    def _show_vfio_group(self, group: int) -> None:
        # The node exists while a device of the group is bound to vfio-pci, or
        # is a mediated device.
        node = pathlib.Path(f'/dev/vfio/{group}')
        if any(
            (device.driver == 'vfio-pci' and device.iommu_group == group)
            or group in map(self._host.group_of, device.mediated)
            for device in self._host.devices.values()
        ):
            node.touch()
        else:
            node.unlink(missing_ok=True)

    def _bind(self, device: inventory.Device, driver: str) -> int:
        if device.driver is not None:
            return errno.EBUSY
        device.driver = driver
        if driver == device.model.driver and device.address in self._dormant:
            interface, device.disk = self._dormant.pop(device.address)
            if interface is not None:
                interface = dataclasses.replace(
                    interface, index=self._host.next_index()
                )
                if device.physical_function is not None:
                    # VF drivers choose a new MAC address at each probe.
                    interface = dataclasses.replace(
                        interface, mac=self._host.next_mac()
                    )
            device.interface = interface
        self._put_bound(device)
        if driver == 'vfio-pci':
            self._show_vfio_group(device.iommu_group)
        self._announce('bind', device)
        self._announce_children('add', device)
        return 0

    def _probe(self, device: inventory.Device) -> int:
        if device.driver is not None:
            return 0
        path = f'{self._host.path(device.address)}/driver_override'
        override = self.contents[path].decode().strip()
        driver = device.model.driver if override == '(null)' else override
        if not (self._root / 'bus/pci/drivers' / driver).is_dir():
            return 0
        return self._bind(device, driver)

    def _plug(self, device: inventory.Device) -> None:
        """Add a device of the inventory to ``/sys``; probe drivers."""
        self._dormant[device.address] = (device.interface, device.disk)
        device.interface = device.disk = device.driver = None
        tree = hosttree.Tree()
        sysfs.add_device(tree, self._host, device)
        self._put(tree)
        self._announce('add', device)
        self._probe(device)

    def _remove(self, address: str) -> None:
        devices = self._host.devices
        for child in list(devices.values()):
            if address in (child.physical_function, child.parent):
                self._unplug(child)
        device = devices[address]
        self._unbind(device)
        path = self._host.path(address)
        group = f'kernel/iommu_groups/{device.iommu_group}'
        self._drop(f'{group}/devices/{address}')
        if len(self._host.groups()[device.iommu_group]) == 1:
            self._drop(group)
        if device.physical_function is not None:
            physical = devices[device.physical_function]
            physical.vfs.remove(address)
            physical_path = self._host.path(physical.address)
            self._drop(f'{physical_path}/virtfn{device.vf_index}')
        self._drop(f'bus/pci/devices/{address}')
        self._drop(path)
        self._announce('remove', device)
        del devices[address]

    def _unplug(self, device: inventory.Device) -> None:
        if device.address not in self._host.devices:
            return
        self._remove(device.address)
        interface, disk = self._dormant.pop(device.address, (None, None))
        # A card comes back without VFs: only the driver creates them.
        if device.physical_function is None:
            device.interface, device.disk = interface, disk
            self._unplugged[device.address] = device

    def _rescan(self, wanted: str) -> int:
        """Plug all unplugged devices (``1``) or one device (its address)."""
        if wanted != '1' and wanted not in self._unplugged:
            return errno.EINVAL
        # Sorted, a bridge (bus 0) comes before what is behind it.
        for address in sorted(self._unplugged):
            if wanted in ('1', address):
                device = self._unplugged.pop(address)
                self._plug(self._host.add(device))
        return 0

    def _set_numvfs(self, device: inventory.Device, text: str) -> int:
        if not text.isdigit() or device.vf_model is None:
            return errno.EINVAL
        wanted, enabled = int(text), len(device.vfs)
        if wanted > device.total_vfs:
            return errno.ERANGE
        if wanted == enabled:
            return 0
        if wanted and enabled:
            return errno.EBUSY
        for address in list(device.vfs):
            self._unplug(self._host.devices[address])
        for index in range(wanted):
            self._plug(self._host.add_vf(device, index))
        path = f'{self._host.path(device.address)}/sriov_numvfs'
        self.contents[path] = f'{wanted}\n'.encode()
        # As the real kernel does: a change event on enabling, none on
        # disabling (seen with igb on Linux 6.1).
        if wanted:
            self._announce('change', device)
        return 0

    def _write_device(
        self, device: inventory.Device, path: str, text: str
    ) -> int:
        leaf = path.rpartition('/')[2]
        if leaf == 'sriov_numvfs':
            return self._set_numvfs(device, text)
        if leaf == 'driver_override':
            self.contents[path] = f'{text or "(null)"}\n'.encode()
        elif leaf == 'remove' and text == '1':
            self._unplug(device)
        return 0

    def _write_driver(self, driver: str, leaf: str, address: str) -> int:
        if leaf not in ('bind', 'unbind'):
            return 0
        device = self._host.devices.get(address)
        if device is None:
            return errno.ENODEV
        if leaf == 'bind':
            return self._bind(device, driver)
        if device.driver != driver:
            return errno.ENODEV
        self._unbind(device)
        return 0

    def _create_mediated(
        self, address: str, kind: str, identifier: str
    ) -> int:
        device = self._host.devices[address]
        try:
            mediated.create(self._host, device, kind, identifier)
        except OSError as error:
            return error.errno or errno.EIO
        tree = hosttree.Tree()
        mediated.add_counts(tree, self._host, device)
        mediated.add_device(tree, self._host, device, identifier)
        self._put(tree)
        self._show_vfio_group(self._host.group_of(identifier))
        self._announce_mediated('add', device, identifier)
        return 0

    def _remove_mediated(self, address: str, identifier: str) -> int:
        device = self._host.devices[address]
        if identifier not in device.mediated:
            # A PCI function behind a bridge.
            self._unplug(self._host.devices[identifier])
            return 0
        self._announce_mediated('remove', device, identifier)
        for path in mediated.paths_of(self._host, device, identifier):
            self._drop(path)
        del device.mediated[identifier]
        self._show_vfio_group(self._host.group_of(identifier))
        tree = hosttree.Tree()
        mediated.add_counts(tree, self._host, device)
        self._put(tree)
        return 0

    def _announce_mediated(
        self, action: str, device: inventory.Device, identifier: str
    ) -> None:
        self._events.send(
            action,
            f'{self._host.path(device.address)}/{identifier}',
            'mdev',
            ('DRIVER=vfio_mdev',),
        )

    def read(self, path: str) -> bytes:
        """Return a control file's content; block while the kernel is frozen.

        :raises KeyError: the file does not exist.
        """
        _wait_for_thaw()
        return self.contents[path]

    def write(self, path: str, data: bytes) -> int:
        """Write a control file; return 0 or an errno.

        :param path: below ``/sys``, with all links resolved.
        """
        text = data.decode(errors='replace').strip()
        _wait_for_thaw()
        *folders, leaf = path.split('/')
        if path == 'bus/pci/rescan':
            return self._rescan(text)
        if path == 'bus/pci/drivers_probe':
            device = self._host.devices.get(text)
            return errno.ENODEV if device is None else self._probe(device)
        if leaf == 'create':
            return self._create_mediated(folders[-3], folders[-1], text)
        if path.startswith('bus/pci/drivers/'):
            return self._write_driver(folders[-1], leaf, text)
        if leaf == 'remove' and folders[-2] in self._host.devices:
            return self._remove_mediated(folders[-2], folders[-1])
        device = self._host.devices.get(folders[-1])
        if device is None:
            return errno.ENODEV
        return self._write_device(device, path, text)


def _wait_for_thaw() -> None:
    # A real kernel holds the device's lock while a driver waits for a
    # guest to release a VF: 17 s were observed, also for reads.
    while FROZEN.exists():
        time.sleep(0.01)
