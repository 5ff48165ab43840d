# SPDX-License-Identifier: Apache-2.0
"""Whether handlers may touch a device."""

import os

from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.services import device_use
from pci_passthrough.tests.unit.resource_types import base

_DOMAIN = """
<domain><name>guest</name><devices><hostdev mode='subsystem' type='usb'>
<source><vendor id='0x1050'/><address bus='1' device='%s'/></source>
<address type='usb' bus='0' port='1'/></hostdev>
<interface type='network'><source network='default'/></interface>
</devices></domain>
"""


class CheckUnusedTest(base.ResourceTypeTest):
    SHAPE = {'usb_tokens': 1, 'gpus': 1}

    def setUp(self) -> None:
        super().setUp()
        self.token = self.device(
            resource_type='usb',
            address='1-1.1',
            vendor_id='1050',
            product_id='0407',
        )
        [self.gpu] = [
            self.device(address=address)
            for address, device in self.model.devices.items()
            if device.model.class_code == 0x030200
        ]

    def use(self, device: objects.PciDevice, *domains: str) -> str | None:
        """Return why a device must not be touched, None if it may be."""
        types = resource_types.load()
        try:
            device_use.check_unused(device, domains, str(self.root), types)
        except device_use.UntouchableDevice as error:
            return str(error)
        return None

    def open(self, node: str) -> None:
        """Let process 7 have a node open."""
        place = self.root / 'proc/7/fd'
        place.mkdir(parents=True)
        os.symlink(node, place / '3')
        (self.root / 'proc/7/comm').write_text('pcscd\n')

    def test_nobody_has_it(self) -> None:
        for device in (self.token, self.gpu):
            self.assertIsNone(self.use(device, _DOMAIN % 9))

    def test_a_domain_has_it(self) -> None:
        self.assertEqual(
            'the running domain guest has 1-1.1',
            self.use(self.token, _DOMAIN % 9, _DOMAIN % 3),
        )

    def test_a_process_has_it_open(self) -> None:
        self.open('/dev/bus/usb/001/003')
        self.assertEqual(
            'process 7 (pcscd) has /dev/bus/usb/001/003 open',
            self.use(self.token),
        )
        self.assertIsNone(self.use(self.gpu))

    def test_nobody_has_what_is_not_there(self) -> None:
        (self.root / 'sys/bus/usb/devices/1-1.1').unlink()
        self.assertIsNone(self.use(self.token, _DOMAIN % 3))

    def test_nobody_can_tell(self) -> None:
        for device in (self.token, self.gpu):
            self.assertIn('malformed domain XML', str(self.use(device, '<')))
