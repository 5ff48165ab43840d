# SPDX-License-Identifier: Apache-2.0
"""Tests of instances without PCI devices."""

from pci_passthrough.demo import cards
from pci_passthrough.resource_types import mdev
from pci_passthrough.tests.e2e import base


class PlainBootTestCase(base.CloudTestCase):
    """Instances without PCI devices."""

    def test_boot_and_delete(self) -> None:
        server = self.boot(self.create_flavor())
        host = self.cloud.hosts[server.compute_host]
        self.assertEqual({server.id: set()}, host.attached())
        self.assertEqual({}, self.views.ours())
        self.delete(server)
        self.assertEqual({}, host.domains())

    def test_agents_report_their_devices(self) -> None:
        for name, host in self.cloud.hosts.items():
            reported = {a for h, a in self.views.states() if h == name}
            inventory = host.machine.host
            functions = {
                address
                for address, device in inventory.devices.items()
                if device.bridge_buses is None
                and device.model not in (cards.A16, cards.XHCI)
            }
            [card] = [
                device
                for device in inventory.devices.values()
                if device.model == cards.A16
            ]
            slices = {
                mdev.uuid_of(name, card.address, 'nvidia-558', number)
                for number in range(2)
            }
            self.assertEqual({*functions, *slices, '1-1.1'}, reported)
            self.assertEqual(13, len(functions))
