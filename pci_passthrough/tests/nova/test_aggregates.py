# SPDX-License-Identifier: Apache-2.0
"""PCI flavors that are restricted to Nova's host aggregates, inside Nova."""

from typing import Any

from pci_passthrough import nova_api
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import rest


class _Aggregates(rest.InProcess, nova_api.Aggregates):
    """Asks Nova's REST API in this process."""


class AggregatesTest(base.NovaTest):
    """The filter reads host states; the claim asks Nova's REST API."""

    def aggregates(self) -> nova_api.Aggregates:
        self.of_nova = _Aggregates()
        return self.of_nova

    def setUp(self) -> None:
        super().setUp()
        self.of_nova.url = self.admin_api.base_url
        for host in ('blue', 'plain'):
            self.start_host(host)
        self.aggregate = self._aggregate('blue', customer='blue')
        self.create_pci_flavor('gpu', aggregate_metadata={'customer': 'blue'})

    def _aggregate(self, host: str, **metadata: str) -> int:
        body = {'aggregate': {'name': f'of {host}', 'availability_zone': None}}
        answer = self.admin_api.api_post('/os-aggregates', body).body
        aggregate_id: int = answer['aggregate']['id']
        for action in (
            {'add_host': {'host': host}},
            {'set_metadata': {'metadata': metadata}},
        ):
            self.admin_api.api_post(
                f'/os-aggregates/{aggregate_id}/action', action
            )
        return aggregate_id

    def _host(self, server: Any) -> str:
        host: str = server['OS-EXT-SRV-ATTR:host']
        return host

    def test_story(self) -> None:
        for _ in range(2):
            self.assertEqual('blue', self._host(self.boot('gpu:1')))
        self.boot_in_vain('gpu:1')
        self.assertIn(
            '1 host: no free gpu; '
            '1 host: outside of the host aggregates for gpu',
            self.log(),
        )
        # The other alternative is restricted to no host.
        self.create_pci_flavor('any')
        self.assertEqual('plain', self._host(self.boot('gpu|any:1')))
        # A forced host passes all filters, and not the claim.
        self.boot_in_vain('gpu:1', az='nova:plain')
        self.assertIn(
            'refused on plain: 1 host: outside of the host aggregates for gpu',
            self.log(),
        )
        self._aggregate('plain', customer='blue')
        self.assertEqual('plain', self._host(self.boot('gpu:1')))
