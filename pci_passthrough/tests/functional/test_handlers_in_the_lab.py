# SPDX-License-Identifier: Apache-2.0
"""Handlers driver and vfs on a simulated host, whose kernel binds and makes.

libvirt of the host tells what has become of the devices.
"""

import errno
import os

import fixtures

from pci_passthrough import handlers
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.tests.functional import test_lab
from pci_passthrough.tests.functional.services import programs


class HandlersInTheLabTest(test_lab.LabTestCase):
    def setUp(self) -> None:
        super().setUp()
        if os.geteuid():
            self.skipTest("only root can write the host's files")
        self.fixture = self.start(inventory.HostShape('lab-1'))
        self.connection = self.connect(self.fixture)
        self.root = str(self.fixture.host_root)
        self.progress: list[str] = []
        self.card = self.first('ice')
        self.gpu = self.first('nvidia')

    def first(self, driver: str) -> inventory.Device:
        return next(
            device
            for device in self.fixture.host.devices.values()
            if device.model.driver == driver
        )

    def set_up(
        self, text: str, device: inventory.Device, stop_at: str = 'never'
    ) -> verb_run.Outcome:
        """Run ``setup``; it is not wanted any more after some progress."""
        kind = 'type-PF' if device.total_vfs else 'type-PCI'
        return verb_run.run(
            verb_process.Request(
                verb=handlers.Verb.SETUP,
                handler=text,
                device=handlers.Device(
                    address=device.address,
                    vendor_id=f'{device.model.vendor_id:04x}',
                    product_id=f'{device.model.product_id:04x}',
                    pci_class=f'{device.model.class_code:06x}',
                    dev_type='type-VF' if device.physical_function else kind,
                    parent_addr=device.physical_function,
                ),
                host=handlers.Host(self.root),
                in_process=True,
            ),
            programs.PATIENCE,
            lambda percent, line: self.progress.append(line),
            lambda: not any(stop_at in line for line in self.progress),
            question_interval=0.05,
        )

    def done(self, text: str, device: inventory.Device) -> str:
        outcome = self.set_up(text, device)
        self.assertTrue(outcome.succeeded, outcome.output)
        return outcome.output

    def wait_for_vfs(self, number: int) -> None:
        """Wait until libvirt lists the virtual functions of the card."""
        names = set(map(testdriver.device_name, self.card.vfs))
        wanted = set(sorted(names)[:number])
        programs.wait_for(
            lambda: self.names(self.connection) & names == wanted,
            f'{number} virtual functions',
        )

    def test_driver_is_bound_and_replaced(self) -> None:
        gpu = self.gpu.address
        for driver, before in (
            ('vfio-pci', 'nvidia'),
            ('nvidia', 'vfio-pci'),
        ):
            output = self.done(f'driver:{driver}', self.gpu)
            self.assertEqual(f'bound to {driver} (before: {before})', output)
            self.assertEqual(driver, self.driver_of(self.connection, gpu))
        self.assertEqual(
            'is bound to nvidia', self.done('driver:nvidia', self.gpu)
        )

    def test_virtual_functions_come_and_go(self) -> None:
        # As a card comes back from a guest: its VFs gone, and without driver.
        self.fixture.set_numvfs(self.card.address, 0)
        self.wait_for_vfs(0)
        self.fixture.unbind(self.card.address)
        output = self.done('vfs:4', self.card)
        self.assertIn('bound to ice (before: no driver)', output)
        self.assertIn('made 4 virtual functions (before: 0)', output)
        self.wait_for_vfs(4)
        self.assertEqual(
            'has 4 virtual functions', self.done('vfs:4', self.card)
        )
        # A kernel takes another number only while there are none.
        error = self.assertRaises(
            OSError, self.fixture.set_numvfs, self.card.address, 2
        )
        self.assertEqual(errno.EBUSY, error.errno)
        self.assertIn('(before: 4)', self.done('vfs:2', self.card))
        self.wait_for_vfs(2)
        self.done('vfs:0', self.card)
        self.wait_for_vfs(0)

    def test_too_many_virtual_functions(self) -> None:
        outcome = self.set_up('vfs:9999', self.card)
        self.assertFalse(outcome.succeeded)
        self.assertIn('virtual functions, not 9999', outcome.output)
        self.wait_for_vfs(4)

    def test_write_that_blocks_hangs_nobody(self) -> None:
        """A kernel blocks the write until a guest ends; reads block, too."""
        for name in ('verb_run._END', 'verb_run._GRACE'):
            self.useFixture(
                fixtures.MonkeyPatch(f'pci_passthrough.handlers.{name}', 0.5)
            )
        self.addCleanup(self.fixture.thaw)
        self.fixture.freeze()
        outcome = self.set_up('vfs:2', self.card, stop_at='changing')
        self.assertFalse(outcome.succeeded)
        self.assertIn('not wanted', outcome.output)
        self.assertEqual(['changing virtual functions: 4 to 2'], self.progress)
        self.wait_for_vfs(4)
        self.fixture.thaw()
        programs.wait_for(
            lambda: device_lock.holder(self.root, self.card.address) is None,
            'the end of the lock',
        )
        self.done('vfs:2', self.card)
        self.wait_for_vfs(2)
