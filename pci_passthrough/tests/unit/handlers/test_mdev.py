# SPDX-License-Identifier: Apache-2.0
"""The handler that makes mediated devices, on a kernel of named pipes."""

import errno
from typing import Any

import fixtures

from pci_passthrough import handlers
from pci_passthrough.demo import mdev_kernel
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import mdev
from pci_passthrough.handlers.privileged import mediated
from pci_passthrough.tests.unit.handlers import base

ONE, TWO = (f'{digit * 8}-1111-5222-8333-{digit * 12}' for digit in 'ab')


class MdevHandlerTest(base.HandlerTest):
    SHAPE = {'vgpu_cards': 1, 'nvmes': 0}

    def setUp(self) -> None:
        super().setUp()
        [self.parent] = [
            address
            for address, device in self.model.devices.items()
            if device.model.mediated_types
        ]
        kernel = mdev_kernel.MdevKernel(self.model, self.root / 'sys')
        kernel.start()
        self.addCleanup(kernel.stop)
        self.handler = mdev.MdevHandler(None, self.host)

    def mediated_device(
        self, address: str = ONE, kind: str = 'nvidia-558', **facts: Any
    ) -> handlers.Device:
        values = {
            'resource_type': 'mdev',
            'parent_addr': self.parent,
            'vendor_id': '10de',
            'product_id': '25b6',
            'pci_class': '030200',
            'dev_type': None,
            'extra_info': {'type': kind},
        }
        return handlers.Device(address=address, **{**values, **facts})

    def do(self, verb: str, device: handlers.Device) -> str:
        return str(getattr(self.handler, verb)(device, self.report))

    def failure(self, verb: str, device: handlers.Device) -> str:
        error = self.assertRaises(handlers.HandlerError, self.do, verb, device)
        return str(error)

    @property
    def made(self) -> dict[str, str]:
        return self.model.devices[self.parent].mediated

    def test_it_is_made_for_mediated_devices(self) -> None:
        self.assertTrue(self.handler.supports(self.mediated_device()))
        for device in (
            self.device(self.parent),
            self.mediated_device(parent_addr=None),
            self.mediated_device(resource_type='usb'),
        ):
            self.assertFalse(self.handler.supports(device))

    def test_make_and_make_anew(self) -> None:
        device = self.mediated_device()
        self.assertFalse(self.handler.is_set_up(device))
        self.assertIn('made, of type nvidia-558', self.do('setup', device))
        self.assertEqual({ONE: 'nvidia-558'}, self.made)
        self.assertTrue(self.handler.is_set_up(device))
        self.assertEqual(
            'exists, of type nvidia-558', self.do('setup', device)
        )
        self.assertEqual(
            'the used device still exists', self.failure('verify', device)
        )
        self.assertIn('removed from', self.do('clean', device))
        self.assertEqual({}, self.made)
        self.assertEqual('the used device is gone', self.do('verify', device))
        self.assertEqual('does not exist', self.do('clean', device))

    def test_a_device_of_another_type_is_left_alone(self) -> None:
        self.do('setup', self.mediated_device(kind='nvidia-559'))
        self.assertEqual(
            'it exists, and is of type nvidia-559, not nvidia-558',
            self.failure('setup', self.mediated_device()),
        )

    def test_what_the_driver_refuses(self) -> None:
        for number, reason in (
            (errno.EUSERS, 'its function can make no more of its type'),
            (errno.EIO, 'Input/output error'),
        ):
            self.useFixture(
                fixtures.MonkeyPatch(
                    'pci_passthrough.handlers.privileged.attributes.write',
                    _refuse(number),
                )
            )
            self.assertEqual(
                f'the driver of {self.parent} makes none: {reason}',
                self.failure('setup', self.mediated_device()),
            )

    def test_a_type_that_does_not_exist(self) -> None:
        device = self.mediated_device(kind='nvidia-1')
        self.assertEqual(
            f'{self.parent} makes no mediated devices of type nvidia-1',
            self.failure('setup', device),
        )

    def test_obstacles(self) -> None:
        device = self.mediated_device(kind='nvidia-559')
        self.assertIsNone(self.handler.obstacle(device))
        self.do('setup', self.mediated_device())
        self.assertIsNone(self.handler.obstacle(self.mediated_device()))
        self.assertEqual(
            f'{self.parent} can make no more of type nvidia-559',
            self.handler.obstacle(device),
        )
        self.assertEqual(
            f'{self.parent} makes no mediated devices of type x',
            self.handler.obstacle(self.mediated_device(kind='x')),
        )

    def test_privileged_functions_take_fixed_forms_only(self) -> None:
        for function, values in (
            (mediated.create, (self.parent, '../x', ONE)),
            (mediated.create, (self.parent, 'nvidia-558', '../x')),
            (mediated.create, ('0000', 'nvidia-558', ONE)),
            (mediated.remove, (self.parent, 'driver')),
        ):
            self.assertRaises(handlers.HandlerError, function, *values)
        self.assertIsNone(mediated.remove(self.parent, TWO))

    def test_all_devices_of_a_function_have_one_lock(self) -> None:
        self.assertEqual(
            self.parent, device_lock.place_of(self.mediated_device())
        )
        device_lock.take(str(self.root), self.parent)
        self.assertIsNotNone(device_lock.holder(str(self.root), self.parent))


def _refuse(number: int) -> Any:
    def write(path: str, text: str) -> None:
        raise OSError(number, {5: 'Input/output error'}.get(number, ''))

    return write


class LockTest(base.HandlerTest):
    SHAPE = {'usb_tokens': 1}

    def test_locks_of_other_devices(self) -> None:
        root = str(self.root)
        for address in ('1-1.1', 'slot-1'):
            self.assertIsNone(device_lock.holder(root, address))
            device_lock.take(root, address)
            self.assertIsNotNone(device_lock.holder(root, address))
        # What sysfs does not show shares one lock.
        self.assertIsNotNone(device_lock.holder(root, 'slot-2'))
        self.assertIsNone(device_lock.holder(root, '1-9'))
