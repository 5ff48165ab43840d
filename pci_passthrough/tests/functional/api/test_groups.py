# SPDX-License-Identifier: Apache-2.0
"""A host reports groups: PCI flavors of these names appear, or warnings."""

from typing import Any

import testtools

from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.api import world
from pci_passthrough.tests.functional.store import base as store_base


class GroupsTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(
            fixture.ApiFixture(
                served=False,
                settings='[conductor]\nflavor_from_group = true\n',
            )
        )
        self.client = world.Client(self.api, fixture.ADMIN)

    def ask(
        self, method: str, path: str, body: Any = None, **query: Any
    ) -> Any:
        headers = {
            'OpenStack-API-Version': 'pci-passthrough 1.4',
            'If-Match': '*',
        }
        return self.client.ask(
            method, f'/v1/pci-flavors{path}', body, headers, **query
        ).json

    def test_story(self) -> None:
        self.api.add_flavor('mine', match=[{'vendor_id': '8086'}])
        self.api.backends.conductor.report(
            store_base.full_report(
                'h',
                [
                    store_base.gpu(1, extra_info={'group': 'big'}),
                    store_base.gpu(2, extra_info={'name': 'mine'}),
                ],
            )
        )
        [made] = self.ask('GET', '', origin='group')['pci_flavors']
        self.assertEqual(
            ('big', 'group', True),
            (made['name'], made['origin'], made['is_public']),
        )
        self.assertEqual([], self.ask('GET', '/big')['warnings'])
        # Whoever wants the name learns whose it is.
        new = {'name': 'big', 'match': [{'vendor_id': '10de'}]}
        self.assertIn(
            'it was made from the group of this name that hosts report',
            self.ask('POST', '', new)['message'],
        )
        [warning] = self.ask('GET', '/mine')['warnings']
        self.assertEqual('pci_flavor.group_differs', warning['code'])
        self.assertIn('Host h offers', warning['text'])
        better = {'match': [{'e.name': 'mine'}]}
        effect = self.ask('PATCH', '/mine', better, dry_run='true')
        self.assertEqual([], effect['warnings'])
        [warning] = self.ask('DELETE', '/big', dry_run='true')['warnings']
        self.assertEqual('pci_flavor.group_reported', warning['code'])
        self.assertIn('disable it instead', warning['text'])
