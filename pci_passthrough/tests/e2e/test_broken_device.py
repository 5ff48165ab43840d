# SPDX-License-Identifier: Apache-2.0
"""A GPU with which no guest starts: one of four on two hosts."""

from typing import Any

from pci_passthrough.demo import cards
from pci_passthrough.tests.e2e import base

_HOST = 'compute-1'
_GPUS = 4


class BrokenDeviceTestCase(base.CloudTestCase):
    """QEMU cannot open one of the H100s; it fails one instance, not all."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.cloud.hosts[_HOST]
        gpu = self.create_pci_flavor('product_id=2330')
        self.flavor = self.create_flavor(pci_flavor=gpu)
        self.bad, _ = sorted(
            address
            for address, device in self.host.machine.host.devices.items()
            if device.model == cards.H100
        )
        self.addCleanup(self.host.break_devices)

    def device(self) -> dict[str, Any]:
        """Return the output of ``openstack pci device show``."""
        shown = self.cloud.openstack(
            'pci', 'device', 'show', f'{_HOST}/{self.bad}'
        )
        assert isinstance(shown, dict)
        return shown

    def test_one_of_four(self) -> None:
        self.host.break_devices(self.bad)
        # Two instances for the two GPUs of the host: one gets the bad GPU.
        servers = [
            self.wait_for_status(
                self.create_server(self.flavor, _HOST), 'ACTIVE', 'ERROR'
            )
            for _ in range(2)
        ]
        self.assertEqual(
            ['ACTIVE', 'ERROR'], sorted(server.status for server in servers)
        )
        self.delete(*servers)
        self.wait_for_holdings({})
        shown = self.device()
        self.assertEqual(1, shown['failed_starts'])
        self.assertIn(f'vfio {self.bad}', shown['start_failure'])
        # All later instances start at once, as long as another GPU is free.
        servers = [self.boot(self.flavor) for _ in range(_GPUS - 1)]
        self.assert_holdings(*servers)
        for devices in self.views.ours().values():
            self.assertNotIn((_HOST, self.bad), devices)
        self.assertEqual(1, self.device()['failed_starts'])
        # A guest that starts clears it.
        self.host.break_devices()
        repaired = self.boot(self.flavor)
        self.assert_holdings(*servers, repaired)
        self.assertEqual({(_HOST, self.bad)}, self.views.ours()[repaired.id])
        self.assertEqual(0, self.device()['failed_starts'])
