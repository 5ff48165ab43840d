# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor``: built-in ones, and restrictions to aggregates."""

import json

from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.api import nova
from pci_passthrough.tests.functional.osc import base


class BuiltInTestCase(base.OscTestCase):
    def test_story(self) -> None:
        self.assertEqual(
            [], self.json_of(self.admin('pci flavor list', '-f', 'json'))
        )
        listed = self.json_of(
            self.admin(
                'pci flavor list', '--origin', 'built-in', '--long',
                '-f', 'json',
            )
        )  # fmt: skip
        self.assertEqual({'built-in'}, {row['Origin'] for row in listed})
        self.assertIn('class-storage', {row['Name'] for row in listed})
        self.succeed(
            self.admin(
                'pci flavor set', 'class-storage', '--state', 'active',
                '--public',
            )
        )  # fmt: skip
        shown = self.json_of(
            self.member('pci flavor show', 'class-storage', '-f', 'json')
        )
        self.assertEqual('a storage device', shown['description'])
        self.assertNotIn('origin', shown)
        refused = self.admin('pci flavor delete', 'class-storage')
        self.assertIn(
            'is built in and cannot be deleted; disable it', refused.stderr
        )


class AggregatesTestCase(base.ShellTestCase):
    def setUp(self) -> None:
        super().setUp()
        of_nova = self.useFixture(nova.Nova())
        of_nova.add('cmp1', customer='blue')
        self.api = self.useFixture(
            fixture.ApiFixture(settings=of_nova.settings)
        )
        self.url = self.api.url

    def test_story(self) -> None:
        blue = ('--aggregate-metadata', 'customer=blue')
        created = self.json_of(
            self.admin(
                'pci flavor create', 'gpu', '--match', 'vendor_id=10de', *blue,
                '-f', 'json',
            )
        )  # fmt: skip
        self.assertEqual({'customer': 'blue'}, created['aggregate_metadata'])
        shown = self.succeed(self.admin('pci flavor show', 'gpu')).stdout
        self.assertRegex(shown, r'aggregate_metadata +\| customer=blue ')
        either = {'customer': ['blue', 'red']}
        self.succeed(
            self.admin(
                'pci flavor set', 'gpu', '--aggregate-metadata',
                json.dumps(either),
            )
        )  # fmt: skip
        shown = self.json_of(
            self.admin('pci flavor show', 'gpu', '-f', 'json')
        )
        self.assertEqual(either, shown['aggregate_metadata'])
        self.succeed(
            self.admin('pci flavor unset', 'gpu', '--aggregate-metadata')
        )
        shown = self.json_of(
            self.admin('pci flavor show', 'gpu', '-f', 'json')
        )
        self.assertNotIn('aggregate_metadata', shown)
        outcome = self.admin(
            'pci flavor set', 'gpu', '--aggregate-metadata', 'blue'
        )
        self.assertIn('for example: customer=blue', outcome.stderr)
