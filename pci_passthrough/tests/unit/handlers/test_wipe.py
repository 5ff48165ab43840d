# SPDX-License-Identifier: Apache-2.0
"""The handler wipe, on disks that are files."""

import errno
import os
import pathlib
import struct

import fixtures

from pci_passthrough import handlers
from pci_passthrough.handlers import wipe
from pci_passthrough.handlers.privileged import disks
from pci_passthrough.tests.unit.handlers import base

_DISCARD, _ZERO = 0x1277, 0x127F
_SIZE = 3 << 20


class _Disk:
    """A file that takes the ioctls of block devices.

    :ivar discards: what a discard does: nothing, zeros, or an error.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.discards: bool | None = True
        self.requests: list[int] = []
        self.misses = range(0)

    def open(self, _files: object, _name: str, number: str, flags: int) -> int:
        assert ':' in number
        return os.open(self.path, flags & ~os.O_EXCL)

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> None:
        self.requests.append(request)
        start, length = struct.unpack('QQ', argument)
        if request == _DISCARD and self.discards is None:
            raise OSError(errno.EOPNOTSUPP, 'Operation not supported')
        if request == _ZERO or self.discards:
            zeros = bytearray(length)
            for place in self.misses:
                if start <= place < start + length:
                    zeros[place - start] = 1
            os.pwrite(descriptor, zeros, start)


class WipeTest(base.HandlerTest):
    def setUp(self) -> None:
        super().setUp()
        self.nvme = self.address('0108')
        self.disk = _Disk(self.folder / 'disk')
        self.disk.path.write_bytes(os.urandom(_SIZE))
        for target, replacement in (
            (
                'pci_passthrough.handlers.function_files.FunctionFiles.'
                'open_node',
                lambda *arguments: self.disk.open(*arguments),
            ),
            ('fcntl.ioctl', lambda *arguments: self.disk.ioctl(*arguments)),
            (f'{wipe.__name__}.WipeHandler.settle_seconds', 0),
            (f'{disks.__name__}.LARGEST_PART', 1 << 20),
            ('pci_passthrough.handlers.driver_binding.PATIENCE', 0.2),
        ):
            self.useFixture(fixtures.MonkeyPatch(target, replacement))
        self.handler = wipe.WipeHandler(None, self.host)

    def clean(self) -> str:
        return self.handler.clean(self.device(self.nvme), self.report)

    def verify(self) -> str:
        return self.handler.verify(self.device(self.nvme), self.report)

    def is_zero(self) -> bool:
        return self.disk.path.read_bytes() == bytes(_SIZE)

    def test_discard(self) -> None:
        self.assertIn('wrote zeros', self.clean())
        self.assertTrue(self.is_zero())
        self.assertEqual([_DISCARD] * 3 + [_ZERO] * 3, self.disk.requests)
        self.assertEqual(
            [33, 66, 100], [percent for percent, _ in self.progress]
        )
        self.assertIn('read as zeros', self.verify())

    def test_overwrites_without_discard(self) -> None:
        self.disk.discards = None
        self.assertIn('wrote zeros', self.clean())
        self.assertTrue(self.is_zero())
        self.assertEqual([_DISCARD, *[_ZERO] * 3], self.disk.requests)

    def test_overwrites_after_a_discard_that_leaves_data(self) -> None:
        # A few bytes that samples would hardly see.
        secret = bytes(_SIZE // 3) + b'secret'
        self.disk.path.write_bytes(secret.ljust(_SIZE, b'\0'))
        self.disk.discards = False
        self.assertIn('wrote zeros', self.clean())
        self.assertTrue(self.is_zero())

    def test_verification_sees_what_is_left(self) -> None:
        self.clean()
        # A half is never missed, a single byte often.
        self.disk.path.write_bytes(b'x' * (_SIZE // 2) + bytes(_SIZE // 2))
        error = self.assertRaises(handlers.HandlerError, self.verify)
        self.assertIn('not all zeros', str(error))

    def test_both_ends_are_samples(self) -> None:
        for place in (0, _SIZE - 1):
            with self.subTest(place):
                self.disk.misses = range(place, place + 1)
                self.clean()
                self.assertRaises(handlers.HandlerError, self.verify)

    def test_no_disk_is_no_success(self) -> None:
        [name] = self.files(self.nvme).disks()
        (self.root / 'sys/class/block' / name).unlink()
        for verb in (self.clean, self.verify):
            error = self.assertRaises(handlers.HandlerError, verb)
            self.assertIn('no disk below it', str(error))

    def test_only_disks_of_the_function(self) -> None:
        for address in self.model.devices:
            if address != self.nvme:
                for name in self.files(self.nvme).disks():
                    self.assertRaises(
                        handlers.HandlerError,
                        disks.discard,
                        address,
                        name,
                        0,
                        1,
                    )
        self.assertEqual([], self.disk.requests)

    def test_other_devices_are_not_supported(self) -> None:
        for prefix in ('02', '03'):
            device = self.device(self.address(prefix))
            self.assertFalse(self.handler.supports(device))
