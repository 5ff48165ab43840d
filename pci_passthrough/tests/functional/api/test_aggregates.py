# SPDX-License-Identifier: Apache-2.0
"""PCI flavors that are restricted to Nova's host aggregates."""

from typing import Any

import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.api import nova
from pci_passthrough.tests.functional.api import world
from pci_passthrough.tests.functional.store import base as store_base

_BLUE = {'customer': 'blue'}


class _AggregatesTest(testtools.TestCase):
    def start(self, settings: str) -> None:
        """Start the service, with two hosts of two GPUs each."""
        self.api = self.useFixture(
            fixture.ApiFixture(served=False, settings=settings)
        )
        for host in ('alfa', 'bravo'):
            self.api.add_host(host, [store_base.gpu(1), store_base.gpu(2)])

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = fixture.ADMIN,
        version: str = '1.4',
        **query: Any,
    ) -> Any:
        headers = {
            'OpenStack-API-Version': f'pci-passthrough {version}',
            'If-Match': '*',
        }
        return (
            world.Client(self.api, token)
            .ask(method, f'/v1/pci-flavors{path}', body, headers, **query)
            .json
        )

    def claim(self, host: str, *names: str) -> list[objects.PciDevice]:
        return self.api.backends.conductor.claim(
            claims.ClaimRequest(
                host, store_base.new_id(), [store_base.request(*names)], 'test'
            )
        )

    def create(self, name: str, **values: Any) -> Any:
        body = {'name': name, 'match': [{'vendor_id': '10de'}], **values}
        return self.ask('POST', '', body)


class RestrictedTest(_AggregatesTest):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova.Nova())
        self.nova.add('alfa', customer='blue', availability_zone='az1')
        self.nova.add('alfa', 'bravo', rack='7')
        self.start(self.nova.settings)

    def test_story(self) -> None:
        created = self.create('blue', aggregate_metadata=_BLUE)
        self.assertEqual(_BLUE, created['aggregate_metadata'])
        self._check_seen_by_operators()
        self._check_seen_by_projects()
        [device] = self.claim('alfa', 'blue')
        self.assertEqual('alfa', device.host)
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, 'bravo', 'blue'
        )
        self.assertEqual(
            ('1 host: outside of the host aggregates for blue', 'aggregate'),
            (error.text, error.reasons[0].condition),
        )
        # The other alternative is not restricted.
        other = self.create('any')
        [device] = self.claim('bravo', 'blue', 'any')
        self.assertEqual(other['uuid'], device.pci_flavor_uuid)
        self._check_dry_runs()
        # Instances keep what they hold.
        red = self.ask('PATCH', '/blue', {'aggregate_metadata': {'rack': '8'}})
        self.assertEqual({'rack': '8'}, red['aggregate_metadata'])
        self.assertRaises(exception.ClaimRefused, self.claim, 'alfa', 'blue')
        free = self.ask('PATCH', '/blue', {'aggregate_metadata': None})
        self.assertIsNone(free['aggregate_metadata'])
        self.nova.aggregates = None
        self.claim('bravo', 'blue')

    def _check_seen_by_operators(self) -> None:
        supply = self.ask('GET', '/blue/availability')
        self.assertEqual(2, supply['free'])
        self.assertEqual(['alfa'], [h['host'] for h in supply['hosts']])
        for version, condition in (('1.4', 'aggregate'), ('1.3', 'no_match')):
            answer = self.ask('GET', '/blue/explain', version=version)
            self.assertEqual(1, answer['serving'])
            alfa, bravo = answer['hosts']
            self.assertTrue(alfa['serves'])
            self.assertEqual(condition, bravo['condition'])
            self.assertEqual(
                'customer: wanted "blue", found none', bravo['detail']
            )

    def _check_seen_by_projects(self) -> None:
        shown = self.ask('GET', '/blue', token=world.BLUE_READER)
        self.assertNotIn('aggregate_metadata', shown)
        explained = self.ask('GET', '/blue/explain', token=world.BLUE_READER)
        self.assertEqual([], explained['reasons'])
        listed = self.ask(
            'GET', '', token=world.BLUE_READER, availability='true'
        )
        self.assertEqual('low', listed['pci_flavors'][0]['availability'])

    def _check_dry_runs(self) -> None:
        for conditions, gained, lost, outside in (
            (None, 2, 0, 0),
            ({'customer': 'red'}, 0, 2, 1),
            ({'rack': '7'}, 2, 0, 0),
        ):
            effect = self.ask(
                'PATCH',
                '/blue',
                {'aggregate_metadata': conditions},
                dry_run='true',
            )
            self.assertEqual(
                (gained, lost, outside),
                (
                    effect['devices']['gained'],
                    effect['devices']['lost'],
                    effect['requests']['outside'],
                ),
            )
            hosts = {pool['host'] for pool in effect['pools']['gained']}
            self.assertEqual({'bravo'} if gained else set(), hosts)

    def test_nova_is_away(self) -> None:
        self.create('blue', aggregate_metadata=_BLUE)
        self.nova.aggregates = None
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, 'alfa', 'blue'
        )
        away = 'Nova did not tell its host aggregates'
        self.assertEqual(away, error.reasons[0].detail)
        answer = self.ask('GET', '/blue/explain')
        self.assertEqual(
            [('aggregate', away)] * 2,
            [(h['condition'], h['detail']) for h in answer['hosts']],
        )
        self.assertEqual(
            'none', self.ask('GET', '/blue/availability')['availability']
        )

    def test_who_may_restrict(self) -> None:
        created = self.ask(
            'POST',
            '',
            {
                'name': 'blue',
                'match': [{'vendor_id': '10de'}],
                'aggregate_metadata': _BLUE,
            },
            version='1.3',
        )
        self.assertIn('needs microversion 1.4', created['errors'][0]['detail'])
        error = self.create('blue', aggregate_metadata={'customer': '>= x'})
        self.assertIn(
            "'aggregate_metadata': 'customer': >= needs a number",
            error['message'],
        )


class NoCredentialsTest(_AggregatesTest):
    def test_no_pci_flavor_is_restricted(self) -> None:
        self.start('')
        error = self.create('blue', aggregate_metadata=_BLUE)
        self.assertIn(
            'the group [nova] of its configuration', error['message']
        )
        self.assertIn('auth_type = password', error['message'])
        # One that was made before serves nobody.
        self.api.add_flavor('old', aggregate_metadata=_BLUE)
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, 'alfa', 'old'
        )
        self.assertIn('has no auth_type', error.reasons[0].detail)
