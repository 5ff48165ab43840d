# SPDX-License-Identifier: Apache-2.0
"""Mediated devices of simulated hosts: as a kernel makes and refuses them."""

import errno

import testtools

from pci_passthrough.demo import inventory
from pci_passthrough.demo import mediated

UUIDS = [f'{digit * 8}-1111-5222-8333-{digit * 12}' for digit in 'abcdef']


class CreateTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.host = inventory.build_host(
            inventory.HostShape('compute-1', vgpu_cards=2)
        )
        self.first, self.second = (
            device
            for device in self.host.devices.values()
            if mediated.makes_devices(device)
        )

    def create(
        self, device: inventory.Device, kind: str, identifier: str
    ) -> int:
        """Make a device; return the kernel's error, 0 for none."""
        try:
            mediated.create(self.host, device, kind, identifier)
        except OSError as error:
            return error.errno or -1
        return 0

    def test_as_many_as_the_type_says_and_of_one_type_only(self) -> None:
        for device in (self.first, self.second):
            for number, identifier in enumerate(UUIDS):
                wanted = 0 if number < 2 else errno.EUSERS
                name = identifier.replace(
                    '1111', '1111' if device is self.first else '2222'
                )
                self.assertEqual(
                    wanted, self.create(device, 'nvidia-559', name)
                )
            self.assertEqual(
                errno.EUSERS, self.create(device, 'nvidia-558', UUIDS[5])
            )

    def test_what_the_kernel_refuses(self) -> None:
        self.assertEqual(
            errno.EINVAL, self.create(self.first, 'nvidia-558', 'no-uuid')
        )
        self.create(self.first, 'nvidia-558', UUIDS[0])
        self.assertEqual(
            errno.EEXIST, self.create(self.second, 'nvidia-558', UUIDS[0])
        )

    def test_a_function_in_a_guest_makes_none(self) -> None:
        self.first.driver = 'vfio-pci'
        self.assertFalse(mediated.makes_devices(self.first))
