# SPDX-License-Identifier: Apache-2.0
"""All policies and all routes, requested by users of each role."""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
from typing import Any

import fixtures
from oslo_policy import policy
import testtools

from pci_passthrough.api import policies
from pci_passthrough.api import routing
from pci_passthrough.tests.functional.api import world

#: The users that send each request, and the columns of the tables below. The
#: PCI flavor belongs to BLUE. The administrator is last, because only this
#: user changes anything.
_TOKENS = {
    'nobody': '',
    'other reader': world.RED_READER,
    'other member': world.RED_MEMBER,
    'reader': world.BLUE_READER,
    'member': world.BLUE_MEMBER,
    'admin': world.ADMIN,
}

_FLAVORS = '/v1/pci-flavors'
_FLAVOR = '/v1/pci-flavors/{pci_flavor}'
_PROJECT = '/v1/pci-flavors/{pci_flavor}/access/{project_id}'
_DEVICE = '/v1/pci-devices/{pci_device}'
_HOST = '/v1/hosts/{host}'

_NAMES = {
    'pci_flavor': 'blueGPU',
    'project_id': world.RED,
    'pci_device': world.device_uuid(world.CHARLIE, '0000:02:00.0'),
    'host': world.CHARLIE,
}

_MATCH = [{'vendor_id': '10de'}]

_NEWEST = {'OpenStack-API-Version': 'pci-passthrough latest'}


@dataclasses.dataclass(frozen=True)
class _Row:
    """One request, and the status for each of ``_TOKENS``.

    :ivar expected: the statuses; a ``+`` means that the answer has
        ``member``, which answers to others have not.
    :ivar without: the status for an administrator if the rule denies all.
    """

    method: str
    path: str
    expected: str
    body: Any = None
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    member: str = ''
    without: str = '403'

    def ask(self, api: world.WorldFixture, token: str) -> str:
        """Send the request with a token; return the status."""
        answer = world.Client(api, token).ask(
            self.method,
            self.path.format(**_NAMES),
            self.body,
            _NEWEST | ({'If-Match': '*'} if self.method == 'PATCH' else {}),
            **self.query,
        )
        shown = self.member and f'"{self.member}"' in answer.text
        return f'{answer.status_code}{"+" if shown else ""}'


#: A request for each rule; the names are without the common prefix.
_RULES = {
    'pci_flavors:list': _Row('GET', _FLAVORS, '401 200 200 200 200 200'),
    'pci_flavors:show': _Row('GET', _FLAVOR, '401 404 404 200 200 200'),
    'pci_flavors:all_projects': _Row(
        'GET',
        _FLAVOR,
        '401 404 404 200 200 200+',
        member='access',
        without='404',
    ),
    'pci_flavors:create': _Row(
        'POST',
        _FLAVORS,
        '401 403 403 403 403 200',
        {'name': 'new', 'match': _MATCH, 'is_public': False},
        {'dry_run': 'true'},
    ),
    'pci_flavors:publicize': _Row(
        'POST',
        _FLAVORS,
        '401 403 403 403 403 200',
        {'name': 'new', 'match': _MATCH},
        {'dry_run': 'true'},
    ),
    'pci_flavors:create_for_project': _Row(
        'POST',
        _FLAVORS,
        '401 403 403 403 403 200',
        {'name': 'new', 'match': _MATCH, 'project_id': world.RED},
        {'dry_run': 'true'},
    ),
    'pci_flavors:update': _Row(
        'PATCH', _FLAVOR, '401 403 403 403 403 200', {'description': 'x'}
    ),
    'pci_flavors:delete': _Row(
        'DELETE',
        _FLAVOR,
        '401 403 403 403 403 200',
        query={'dry_run': 'true'},
    ),
    # Nobody can ask Nova here, so the service refuses it for the operator.
    'pci_flavors:aggregate_metadata': _Row(
        'PATCH',
        _FLAVOR,
        '401 403 403 403 403 400',
        {'aggregate_metadata': {'customer': 'blue'}},
    ),
    'pci_flavors:force': _Row(
        'PATCH',
        _FLAVOR,
        '401 403 403 403 403 200',
        {'description': 'y'},
        {'force': 'true'},
    ),
    'pci_flavors:access:list': _Row(
        'GET', f'{_FLAVOR}/access', '401 403 403 403 403 200'
    ),
    'pci_flavors:access:add': _Row('PUT', _PROJECT, '401 403 403 403 403 204'),
    'pci_flavors:access:remove': _Row(
        'DELETE', _PROJECT, '401 403 403 403 403 204'
    ),
    'pci_flavors:availability': _Row(
        'GET', f'{_FLAVOR}/availability', '401 404 404 200 200 200'
    ),
    'pci_flavors:availability_counts': _Row(
        'GET',
        f'{_FLAVOR}/availability',
        '401 404 404 200 200 200+',
        member='free',
        without='200',
    ),
    'pci_flavors:explain': _Row(
        'GET', f'{_FLAVOR}/explain', '401 404 404 200 200 200'
    ),
    'pci_flavors:explain_hosts': _Row(
        'GET',
        f'{_FLAVOR}/explain',
        '401 404 404 200 200 200+',
        member='hosts',
        without='200',
    ),
    'pci_devices:list': _Row(
        'GET', '/v1/pci-devices', '401 403 403 403 403 200'
    ),
    'pci_devices:show': _Row('GET', _DEVICE, '401 403 403 403 403 200'),
    'pci_devices:history': _Row(
        'GET', f'{_DEVICE}/history', '401 403 403 403 403 200'
    ),
    'pci_devices:update': _Row(
        'PATCH', _DEVICE, '401 403 403 403 403 200', {'action': 'enable'}
    ),
    'pci_pools:list': _Row('GET', '/v1/pci-pools', '401 403 403 403 403 200'),
    'hosts:list': _Row('GET', '/v1/hosts', '401 403 403 403 403 200'),
    # The host is up.
    'hosts:delete': _Row('DELETE', _HOST, '401 403 403 403 403 409'),
    'usages:list': _Row('GET', '/v1/usages', '401 200 200 200 200 200'),
    'usages:all_projects': _Row(
        'GET',
        '/v1/usages',
        '401 200 200 403 403 200',
        query={'project_id': world.RED},
    ),
    'refusals:list': _Row('GET', '/v1/refusals', '401 200 200 200 200 200'),
    'refusals:all_projects': _Row(
        'GET',
        '/v1/refusals',
        '401 200+ 200+ 200 200 200+',
        query={'server': world.RED_SERVER},
        member='server',
        without='200',
    ),
    'refusals:hosts': _Row(
        'GET',
        '/v1/refusals',
        '401 200 200 200 200 200+',
        member='some_hosts',
        without='200',
    ),
}

_PUBLIC = [
    _Row('GET', '/', '200 200 200 200 200 200'),
    _Row('GET', '/v1', '200 200 200 200 200 200'),
    _Row('GET', '/v1/openapi.json', '200 200 200 200 200 200'),
]

#: The requests that need no route, such as those of load balancers.
_BESIDE = {('GET', '/healthcheck')}


class MatrixTest(testtools.TestCase):
    def test_all_rules_for_everybody(self) -> None:
        api = self.useFixture(world.WorldFixture(served=False))
        rows = {**_RULES, **{row.path: row for row in _PUBLIC}}
        self.assertEqual(
            {name: row.expected for name, row in rows.items()},
            {
                name: ' '.join(
                    row.ask(api, token) for token in _TOKENS.values()
                )
                for name, row in rows.items()
            },
        )

    def test_no_rule_is_missing(self) -> None:
        enforced = {
            rule.name
            for rule in policies.list_rules()
            if isinstance(rule, policy.DocumentedRuleDefault)
        }
        self.assertEqual(
            enforced, {f'pci_passthrough:{name}' for name in _RULES}
        )

    def test_no_route_is_missing(self) -> None:
        self.assertEqual(
            {(r.method, r.path) for r in routing.ROUTES} - _BESIDE,
            {(r.method, r.path) for r in (*_RULES.values(), *_PUBLIC)},
        )


class PolicyFileTest(testtools.TestCase):
    """The operator's policy file replaces the defaults."""

    def setUp(self) -> None:
        super().setUp()
        folder = self.useFixture(fixtures.TempDir()).path
        self.file = pathlib.Path(folder) / 'policy.yaml'
        self.file.touch()
        self.written = self.file.stat().st_mtime
        self.api = self.useFixture(
            world.WorldFixture(
                served=False,
                settings=f'[oslo_policy]\npolicy_file = {self.file}\n',
            )
        )

    def use(self, name: str, check: str) -> None:
        """Write one rule, so that the file is newer than before."""
        self.written += 1
        self.file.write_text(json.dumps({name: check}))
        os.utime(self.file, (self.written, self.written))

    def test_each_rule_is_asked_for(self) -> None:
        """A rule that denies all keeps out the administrator."""
        without = {}
        for name, row in _RULES.items():
            self.use(f'pci_passthrough:{name}', '!')
            without[name] = row.ask(self.api, world.ADMIN)
        self.assertEqual(
            {name: row.without for name, row in _RULES.items()}, without
        )

    def test_availability_in_lists_needs_its_rule(self) -> None:
        client = world.Client(self.api, world.BLUE_READER)
        answer = client.ask('GET', _FLAVORS, availability='true')
        self.assertIn('"availability"', answer.text)
        self.use('pci_passthrough:pci_flavors:availability', '!')
        answer = client.ask('GET', _FLAVORS, availability='true')
        self.assertEqual(200, answer.status_code)
        self.assertNotIn('"availability"', answer.text)

    def test_what_no_rule_allows_is_denied(self) -> None:
        """A token without roles, or with an odd one."""
        for roles in ((), ('',), ('admins',), ('reader admin',)):
            token = world.token('user', world.BLUE, *roles)
            answer = world.Client(self.api, token).ask('GET', _FLAVORS)
            self.assertEqual(403, answer.status_code, f'{roles}')
