# SPDX-License-Identifier: Apache-2.0
"""What the conductors ask Nova, with a token of Keystone."""

from pci_passthrough.tests.e2e import base


class AggregateTestCase(base.CloudTestCase):
    """A PCI flavor that is restricted to a host aggregate."""

    def test_restricted(self) -> None:
        chosen, other = sorted(self.cloud.hosts)
        aggregate = self.compute.create_aggregate(name=self.getUniqueString())
        self.addCleanup(self.compute.delete_aggregate, aggregate)
        self.compute.add_host_to_aggregate(aggregate, chosen)
        self.addCleanup(
            self.compute.remove_host_from_aggregate, aggregate, chosen
        )
        self.compute.set_aggregate_metadata(aggregate, {'customer': 'blue'})
        gpu = self.create_pci_flavor(
            'e.group=gpu', '--aggregate-metadata', 'customer=blue'
        )
        flavor = self.create_flavor(pci_flavor=gpu)
        server = self.boot(flavor)
        self.assertEqual(chosen, server.compute_host)
        self.assert_holdings(server)
        late = self.create_server(flavor, other)
        late = self.wait_for_status(late, 'ERROR')
        self.assertIn('No valid host was found', late.fault['message'])


class AuditTestCase(base.CloudTestCase):
    """What instances hold, compared with the servers that Nova has."""

    def test_nothing_differs(self) -> None:
        gpu = self.create_pci_flavor('e.group=gpu')
        server = self.boot(self.create_flavor(pci_flavor=f'{gpu}:2'))
        self.assertEqual([], self.cloud.manage('audit', '-f', 'json'))
        self.delete(server)
        self.assertEqual([], self.cloud.manage('audit', '-f', 'json'))
