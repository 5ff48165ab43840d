# SPDX-License-Identifier: Apache-2.0
"""Tests of instances without PCI devices."""

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
            offered = {
                address
                for address, device in host.machine.host.devices.items()
                if device.bridge_buses is None
            }
            self.assertEqual(offered, reported)
            self.assertEqual(13, len(reported))
