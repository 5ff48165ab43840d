# SPDX-License-Identifier: Apache-2.0
"""No name steers a path of a handler."""

import os
import stat

from pci_passthrough import handlers
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers.privileged import attributes
from pci_passthrough.tests.unit.handlers import base


class FunctionFilesTest(base.HandlerTest):
    def test_only_addresses_of_functions(self) -> None:
        gpu = self.address('03')
        for address in (
            '', '.', '..', f'{gpu}/..', f'../devices/{gpu}', f'{gpu}\n',
            f'{gpu}\0', '0000:00:00', gpu.replace('0000:', ''), gpu.upper(),
            '0000:ff:1f.7', '*',
        ):  # fmt: skip
            with self.subTest(address):
                if address == gpu:
                    continue
                error = self.assertRaises(
                    handlers.HandlerError, self.files, address
                )
                self.assertIn('no PCI', str(error))

    def test_link_to_another_place_is_refused(self) -> None:
        gpu, disk = self.address('03'), self.address('0108')
        link = self.root / 'sys/bus/pci/devices' / gpu
        for target in (
            f'../../../{self.model.path(disk)}',
            '../../../../proc',
            '/',
        ):
            with self.subTest(target):
                link.unlink()
                link.symlink_to(target)
                self.assertRaises(handlers.HandlerError, attributes.reset, gpu)
        self.assertEqual('', self.read(disk, 'reset'))

    def test_links_do_not_leave_the_root(self) -> None:
        gpu = self.address('03')
        outside = self.folder / 'outside'
        outside.write_text('')
        place = self.place(gpu, 'reset')
        place.unlink()
        place.symlink_to(outside)
        self.assertRaises(OSError, attributes.reset, gpu)
        self.assertEqual('', outside.read_text())

    def test_disks_of_a_function(self) -> None:
        for address, device in self.model.devices.items():
            expected = (
                {}
                if device.disk is None
                else {
                    device.disk.name: (
                        f'{device.disk.major}:{device.disk.minor}'
                    )
                }
            )
            self.assertEqual(expected, self.files(address).disks(), address)

    def test_name_of_another_form_is_no_disk(self) -> None:
        address = self.address('0108')
        [name] = self.files(address).disks()
        folder = self.root / 'sys/class/block'
        (folder / name).rename(folder / '..nvme')
        self.assertEqual({}, self.files(address).disks())

    def test_multipath_disk(self) -> None:
        first, second = [
            address
            for address, device in sorted(self.model.devices.items())
            if device.disk is not None
        ]
        subsystem = self.root / 'sys/devices/virtual/nvme-subsystem/nvme-ss0'
        disk = subsystem / 'nvme7n1'
        disk.mkdir(parents=True)
        (disk / 'dev').write_text('259:77\n')
        (self.root / 'sys/class/block/nvme7n1').symlink_to(disk)
        # An absolute link of the host, as it would be in a container.
        os.unlink(self.root / 'sys/class/block/nvme7n1')
        (self.root / 'sys/class/block/nvme7n1').symlink_to(
            '/sys/devices/virtual/nvme-subsystem/nvme-ss0/nvme7n1'
        )
        for name, address in (('nvme7', first), ('nvme8', second)):
            (self.place(address, f'nvme/{name}')).mkdir()
            (subsystem / name).symlink_to(
                f'/sys/{self.model.path(address)}/nvme/{name}'
            )
            if name == 'nvme7':
                self.assertEqual(
                    '259:77', self.files(first).disks()['nvme7n1']
                )
        # Now another function reaches it, too.
        error = self.assertRaises(
            handlers.HandlerError, self.files(first).disks
        )
        self.assertIn('nvme8', str(error))

    def test_virtual_functions_by_their_links(self) -> None:
        address = next(a for a, d in self.model.devices.items() if d.vfs)
        self.place(address, 'sriov_numvfs').unlink()
        self.assertEqual(
            self.model.devices[address].vfs,
            list(self.files(address).virtual_functions().values()),
        )

    def test_node_must_be_the_device_of_sysfs(self) -> None:
        address = self.address('0108')
        [(name, number)] = self.files(address).disks().items()
        node = self.root / 'dev' / name
        node.parent.mkdir(exist_ok=True)

        def open_node(number: str = number) -> int:
            return self.files(address).open_node(
                name, number, os.O_RDONLY, stat.S_ISCHR
            )

        error = self.assertRaises(handlers.HandlerError, open_node)
        self.assertIn('No such file', str(error))
        node.write_text('')
        error = self.assertRaises(handlers.HandlerError, open_node)
        self.assertIn(f'is not the device {number}', str(error))
        node.unlink()
        node.symlink_to('/dev/null')
        self.assertRaises(handlers.HandlerError, open_node)
        node.unlink()
        try:
            os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            self.skipTest('needs CAP_MKNOD')
        self.assertRaises(handlers.HandlerError, open_node)
        os.close(open_node('1:3'))
        self.assertRaises(
            handlers.HandlerError,
            self.files(address).open_node,
            name,
            '1:3',
            os.O_RDONLY,
        )

    def test_unknown_function(self) -> None:
        self.assertRaises(
            handlers.HandlerError,
            function_files.FunctionFiles,
            str(self.folder),
            self.address('03'),
        )
