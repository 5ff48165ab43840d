# SPDX-License-Identifier: Apache-2.0
"""Tests of moves to another cell, which devices of PCI flavors prevent."""

from typing import Any

from nova.policies import base as base_policies
from nova.policies import servers as servers_policies
from nova.tests.functional.api import client

from pci_passthrough.tests.nova import base


class OtherCellTest(base.NovaTest):
    """Two hosts in two cells; Nova may move servers between them."""

    NUMBER_OF_CELLS = 2

    def setUp(self) -> None:
        super().setUp()
        self.policy.set_rules(
            {servers_policies.CROSS_CELL_RESIZE: base_policies.RULE_ADMIN_API},
            overwrite=False,
        )
        self.create_pci_flavor('gpu')
        self.start_host('c0', bus=0x81, cell='cell1')
        self.start_host('c1', bus=0x82, cell='cell2')

    def refused_move(self, server: Any, body: dict[str, Any]) -> str:
        """Return why nova-conductor does not move a server."""
        # As casts are calls, Nova's API may answer with the error.
        try:
            self.admin_api.post_server_action(server['id'], body)
        except client.OpenStackApiException:
            pass
        action = 'resize' if 'resize' in body else 'migrate'
        event = self._wait_for_instance_action_event(
            server, action, 'cold_migrate', 'error'
        )
        self.assertEqual('c0', self.host_of(server))
        self.assertEqual({}, self.held('c1'))
        return str(event['details'])

    def test_named_host(self) -> None:
        """The text names the reason; the server keeps running."""
        server = self.boot('gpu:1', host='c0')
        text = self.refused_move(server, {'migrate': {'host': 'c1'}})
        self.assertIn('Host c1 is in another cell', text)
        self.assert_consistent('c0', server, 1)

    def test_to_devices(self) -> None:
        """A resize to a flavor with devices stays in the cell, too."""
        server = self.boot(None, host='c0')
        flavor = self.create_flavor('gpu:1')
        text = self.refused_move(server, {'resize': {'flavorRef': flavor}})
        self.assertIn('No valid host', text)
        self.assertEqual({}, self.held('c0'))
