# SPDX-License-Identifier: Apache-2.0
"""The agent makes, cleans, restores and removes mediated devices.

The handlers run in processes of their own; named pipes stand for the kernel.
"""

import json
import shutil
from typing import Any

from pci_passthrough.demo import inventory
from pci_passthrough.demo import mdev_kernel
from pci_passthrough.demo import testdriver
from pci_passthrough.resource_types import mdev
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.functional.services import agent_host
from pci_passthrough.tests.functional.services import programs


def entry(count: int, kind: str = 'nvidia-558') -> str:
    match = {'resource_type': 'mdev', 'vendor_id': '10de'}
    return json.dumps({'match': match, 'type': kind, 'count': count})


class MediatedDevicesTest(agent_host.AgentHostTest):
    SHAPE = {'nics': 0, 'gpus': 0, 'nvmes': 0, 'vgpu_cards': 1}
    FLAVORS = {'vgpu': {'resource_type': 'mdev', 'e.type': 'nvidia-558'}}

    def setUp(self) -> None:
        super().setUp()
        self.start_kernel()

    def start_kernel(self) -> None:
        """Start the host's kernel; mediated devices are not there."""
        self.model = inventory.build_host(self.model.shape)
        testdriver.write_host(self.model, self.folder)
        kernel = mdev_kernel.MdevKernel(
            self.model, self.host.host_root / 'sys'
        )
        kernel.start()
        self.addCleanup(kernel.stop)
        [self.gpu] = [
            device
            for device in self.model.devices.values()
            if device.model.mediated_types
        ]

    @property
    def made(self) -> set[str]:
        """The UUIDs of the devices that the kernel has."""
        return set(self.gpu.mediated)

    def uuids(self, count: int) -> set[str]:
        return {
            mdev.uuid_of(
                agent_host.HOST, self.gpu.address, 'nvidia-558', index
            )
            for index in range(count)
        }

    def options(self) -> dict[str, Any]:
        return {'scan_interval': 1, 'settle_time': 0}

    def wait_for(self, made: set[str]) -> None:
        programs.wait_for(lambda: self.made == made, f'{made}, {self.made}')

    def test_from_the_entry_to_the_next_owner(self) -> None:
        self.start(entry(2), **self.options())
        self.wait_until_all_are('available')
        self.assertEqual(self.uuids(2), self.made)
        held = self.hold('vgpu')
        inode = self.inode_of(held)
        self.give_back()
        programs.wait_for(
            lambda: (
                f'Prepared {held}, which is available: mdev clean: removed'
                in self.logger.output
            ),
            'the cleaning',
        )
        self.wait_until_all_are('available')
        self.assertEqual(self.uuids(2), self.made)
        # It is another directory: the device was made anew.
        self.assertNotEqual(inode, self.inode_of(held))
        [device] = [d for d in self.devices() if d.address == held]
        self.assertEqual(
            ('mdev', self.gpu.address, 'nvidia', {'type': 'nvidia-558'}),
            (
                device.resource_type,
                device.parent_addr,
                device.driver,
                device.extra_info,
            ),
        )

    def inode_of(self, identifier: str) -> int:
        place = self.host.host_root / 'sys/bus/mdev/devices' / identifier
        return place.resolve().stat().st_ctime_ns

    def test_after_a_start_of_the_host(self) -> None:
        running = self.start(entry(2), **self.options())
        self.wait_until_all_are('available')
        held = self.hold('vgpu')
        running.stop()
        self.kernel_restarts()
        self.start(entry(2), **self.options())
        self.wait_for(self.uuids(2))
        states = {d.address: d.state for d in self.devices()}
        self.assertEqual('allocated', states[held])

    def kernel_restarts(self) -> None:
        """Remove all mediated devices, as the end of a kernel does."""
        for path in (
            f'sys/{self.model.path(self.gpu.address)}',
            'sys/bus/mdev/devices',
        ):
            for identifier in self.made:
                place = self.host.host_root / path / identifier
                place.unlink() if place.is_symlink() else shutil.rmtree(place)
        self.start_kernel()
        self.assertEqual(set(), self.made)

    def test_what_no_entry_plans_any_more(self) -> None:
        running = self.start(entry(3), **self.options())
        self.wait_until_all_are('available')
        held = self.hold('vgpu')
        running.stop()
        running = self.start(entry(1, 'nvidia-559'), **self.options())
        # nvidia-559 can be made when those of the other type are gone, but
        # an instance has one.
        self.wait_for({held})
        [refused] = [
            device
            for device in lookup.get_all(self.db)
            if device.extra_info.get('type') == 'nvidia-559'
        ]
        self.assertIn('can make no more', str(refused.refusal))
