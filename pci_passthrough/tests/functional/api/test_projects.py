# SPDX-License-Identifier: Apache-2.0
"""Projects see and change what is theirs, and learn nothing else."""

import itertools
import json
import pathlib
import re
from typing import Any

import fixtures
import testtools

from pci_passthrough.api import routing
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.tests.functional.api import world
from pci_passthrough.tests.functional.store import base as store_base

_FLAVORS = '/v1/pci-flavors'
_MATCH = [store_base.FLAVORS['gpu']]


class SharingTest(testtools.TestCase):
    """What two projects see of a private PCI flavor, step by step."""

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(world.WorldFixture(served=False))
        self.admin = world.Client(self.api, world.ADMIN)
        self.red = world.Client(self.api, world.RED_READER)
        self.blue = world.Client(self.api, world.BLUE_READER)

    def sees(self, client: world.Client, name: str) -> bool:
        """Return whether a project sees a PCI flavor, on all paths alike."""
        [flavor] = self.admin.ask('GET', _FLAVORS, name=name).json[
            'pci_flavors'
        ]
        statuses = set()
        for identity in (name, flavor['uuid']):
            for what in ('', '/availability', '/explain'):
                path = f'{_FLAVORS}/{identity}{what}'
                answer = client.ask('GET', path)
                statuses.add(answer.status_code)
                if answer.status_code == 404:
                    [error] = answer.json['errors']
                    # The same as for a PCI flavor that never existed.
                    self.assertEqual('pci_flavor.not_found', error['code'])
                    self.assertEqual(
                        f'there is no PCI flavor {identity!r}', error['detail']
                    )
        listed = client.ask('GET', _FLAVORS).json['pci_flavors']
        by_name = client.ask('GET', _FLAVORS, name=name).json['pci_flavors']
        marker = client.ask('GET', _FLAVORS, marker=name).status_code
        is_listed = name in {item['name'] for item in listed}
        self.assertEqual(is_listed, bool(by_name))
        self.assertEqual(200 if is_listed else 400, marker)
        self.assertEqual({200 if is_listed else 404}, statuses)
        return is_listed

    def seen(self, name: str) -> tuple[bool, bool]:
        return self.sees(self.red, name), self.sees(self.blue, name)

    def done(self, method: str, path: str, body: Any = None) -> None:
        answer = self.admin.ask(
            method,
            path,
            body,
            {'If-Match': '*'} if method == 'PATCH' else None,
        )
        self.assertIn(answer.status_code, (200, 201, 204), answer.text)

    def test_step_by_step(self) -> None:
        path = f'{_FLAVORS}/secret'
        self.done(
            'POST',
            _FLAVORS,
            {
                'name': 'secret',
                'match': _MATCH,
                'project_id': world.RED,
                'is_public': False,
            },
        )
        self.assertEqual((True, False), self.seen('secret'))
        self.done('PUT', f'{path}/access/{world.BLUE}')
        self.assertEqual((True, True), self.seen('secret'))
        self.done('DELETE', f'{path}/access/{world.BLUE}')
        self.assertEqual((True, False), self.seen('secret'))
        self.done('PATCH', path, {'access': [world.BLUE]})
        self.assertEqual((True, True), self.seen('secret'))
        self.done('PATCH', path, {'access': ['x' + world.BLUE]})
        self.assertEqual((True, False), self.seen('secret'))
        self.done('PATCH', path, {'is_public': True})
        self.assertEqual((True, True), self.seen('secret'))
        self.done('PATCH', path, {'is_public': False, 'state': 'disabled'})
        self.assertEqual((True, False), self.seen('secret'))
        # The owner keeps its own without being named.
        self.done('DELETE', f'{path}/access/{world.RED}')
        self.assertEqual((True, False), self.seen('secret'))

    def test_nobodys_private_one_is_for_those_it_is_shared_with(self) -> None:
        self.done(
            'POST',
            _FLAVORS,
            {
                'name': 'secret',
                'match': _MATCH,
                'project_id': None,
                'is_public': False,
            },
        )
        self.assertEqual((False, False), self.seen('secret'))
        self.done('PUT', f'{_FLAVORS}/secret/access/{world.RED}')
        self.assertEqual((True, False), self.seen('secret'))


class SecrecyTest(testtools.TestCase):
    """No answer to a project has secrets of other projects or of hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(world.WorldFixture(served=False))

    def test_no_answer_tells_of_others(self) -> None:
        """No answer has a number that the project did not choose itself."""
        secrets = self._secrets()
        leaks = []
        for path, query, text, body in self._answers():
            revealed = [secret for secret in secrets if secret in text]
            revealed += [
                where for where in _numbers(body) if where not in _OWN
            ]
            leaks += [(path, query, what) for what in revealed]
        self.assertEqual([], leaks)

    def test_an_administrator_is_told(self) -> None:
        """An administrator sees all secrets that a project must not see."""
        client = world.Client(self.api, world.ADMIN)
        client.ask('POST', _FLAVORS, {'name': 'new', 'match': _MATCH})
        told = ''.join(
            client.ask('GET', path).text
            for path in (_FLAVORS, '/v1/pci-devices')
        )
        missing = [secret for secret in self._secrets() if secret not in told]
        self.assertEqual([], missing)

    def _secrets(self) -> list[str]:
        answer = world.Client(self.api, world.ADMIN).ask(
            'GET', '/v1/pci-devices'
        )
        devices = answer.json['pci_devices']
        return [
            '"access"',
            '"project_id"',
            world.RED,
            world.BLUE,
            world.OPS,
            *world.HOSTS,
            *world.INSTANCES.values(),
            *{device['address'] for device in devices},
            *(device['uuid'] for device in devices),
        ]

    def _answers(self) -> list[tuple[str, dict[str, Any], str, Any]]:
        client = world.Client(self.api, world.BLUE_MEMBER)
        answers = []
        for path, query in _requests():
            answer = client.ask('GET', path, **query)
            text = f'{answer.headers}{answer.text}'
            # What was asked for is no news.
            for value in query.values():
                text = text.replace(value, '')
            self.assertLess(answer.status_code, 500)
            answers.append((path, query, text, answer.json))
        return answers


#: What was asked for, how often something was changed, and HTTP's.
_OWN = ('count', 'generation', 'status')


def _requests() -> list[tuple[str, dict[str, Any]]]:
    """Return each GET request that a project can send, with its queries."""
    names = {
        'pci_flavor': [*world.FLAVORS, world.flavor_uuid('redGPU'), 'none'],
        'pci_device': ['none'],
        'project_id': ['none'],
    }
    requests: list[tuple[str, dict[str, Any]]] = []
    for route in routing.ROUTES:
        if route.method != 'GET' or route.path == '/v1/openapi.json':
            continue
        wanted = re.findall(r'{(\w+)}', route.path)
        for values in itertools.product(*(names[name] for name in wanted)):
            path = route.path.format(**dict(zip(wanted, values, strict=True)))
            requests.append((path, {}))
            for name, schema in route.query.items():
                requests += [(path, {name: v}) for v in _values(name, schema)]
    return requests


def _values(name: str, schema: Any) -> list[str]:
    if name == 'count':
        return ['1', '2', '3', '1000']
    if schema['type'] == 'boolean':
        return ['true', 'false']
    if schema['type'] == 'integer':
        return ['1']
    if name == 'sort':
        return ['created_at:desc', 'project_id:asc', 'access']
    choices = schema.get('enum') or schema.get('items', {}).get('enum')
    return choices or ['redGPU', 'gpu', 'zulu', "' or 1=1 --"]


def _numbers(value: Any, key: str = '') -> list[str]:
    """Return the keys of all numbers in a body, and in texts about hosts."""
    if isinstance(value, dict):
        return [w for k, v in value.items() for w in _numbers(v, k)]
    if isinstance(value, list):
        return [where for item in value for where in _numbers(item, key)]
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return [key]
    if key in ('text', 'condition') and re.search(r'\d', value):
        return [key]
    return []


#: Projects may have PCI flavors of their own.
_LOOSE = {
    f'pci_passthrough:pci_flavors:{verb}': 'role:member and '
    'project_id:%(project_id)s or role:admin'
    for verb in ('create', 'update', 'delete')
}


class _OwnFlavorsTest(testtools.TestCase):
    rules: dict[str, str]

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        file = folder / 'policy.yaml'
        file.write_text(json.dumps(self.rules))
        self.api = self.useFixture(
            world.WorldFixture(
                served=False,
                settings=f'[oslo_policy]\npolicy_file = {file}\n',
            )
        )
        self.member = world.Client(self.api, world.BLUE_MEMBER)

    def status(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> int:
        answer = self.member.ask(
            method,
            path,
            body,
            {'If-Match': '*'} if method == 'PATCH' else None,
            **query,
        )
        return int(answer.status_code)

    def create(self, **values: Any) -> Any:
        return self.member.ask(
            'POST',
            _FLAVORS,
            {'name': 'mine', 'match': _MATCH, 'is_public': False, **values},
        )

    def owners(self) -> dict[str, str | None]:
        answer = world.Client(self.api, world.ADMIN).ask('GET', _FLAVORS).json
        return {
            flavor['name']: flavor['project_id']
            for flavor in answer['pci_flavors']
        }


class OwnFlavorsTest(_OwnFlavorsTest):
    """A policy file lets members manage the PCI flavors of their project."""

    rules = _LOOSE

    def test_it_is_the_projects_own(self) -> None:
        answer = self.create()
        self.assertEqual(201, answer.status_code)
        self.assertNotIn('project_id', answer.json)
        self.assertEqual(world.BLUE, self.owners()['mine'])
        path = f'{_FLAVORS}/mine'
        self.assertEqual(200, self.status('PATCH', path, {'description': 'x'}))
        self.assertEqual(204, self.status('DELETE', path))
        self.assertNotIn('mine', self.owners())

    def test_not_for_others(self) -> None:
        for owner in (world.RED, None):
            answer = self.create(project_id=owner)
            self.assertEqual(403, answer.status_code)
            self.assertIn('create_for_project', answer.text)
        self.assertNotIn('mine', self.owners())

    def test_readers_still_cannot(self) -> None:
        self.member = world.Client(self.api, world.BLUE_READER)
        self.assertEqual(403, self.create().status_code)
        path = f'{_FLAVORS}/blueGPU'
        self.assertEqual(403, self.status('PATCH', path, {}))
        self.assertEqual(403, self.status('DELETE', path))

    def test_nobody_elses_can_be_changed(self) -> None:
        """Neither a shared PCI flavor, nor one that belongs to no project."""
        world.Client(self.api, world.ADMIN).ask(
            'POST',
            _FLAVORS,
            {'name': 'redPublic', 'match': _MATCH, 'project_id': world.RED},
        )
        before = self.owners()
        expected = {
            'redGPU': 404,
            'redBlueGPU': 403,
            'redPublic': 403,
            'gpu': 403,
            'fpga': 403,
        }
        for name, status in expected.items():
            path = f'{_FLAVORS}/{name}'
            for dry_run in ('true', 'false'):
                answers = (
                    self.status('PATCH', path, {'name': 'x'}, dry_run=dry_run),
                    self.status('DELETE', path, dry_run=dry_run),
                )
                self.assertEqual((status, status), answers, name)
        self.assertEqual(before, self.owners())

    def test_no_force(self) -> None:
        path = f'{_FLAVORS}/blueGPU'
        self.api.claim(world.CHARLIE, 'blueGPU')
        self.assertEqual(403, self.status('DELETE', path, force='true'))
        self.assertEqual(
            403,
            self.status('PATCH', path, {'match': _MATCH}, force='true'),
        )
        answer = self.member.ask('DELETE', path)
        self.assertEqual(409, answer.status_code)
        # Instances may be of other projects, were it public once.
        [error] = answer.json['errors']
        self.assertEqual('pci_flavor.in_use', error['code'])
        self.assertNotIn('holders', error)
        self.assertEqual("PCI flavor 'blueGPU' is in use.", error['detail'])

    def test_a_dry_run_tells_neither_numbers_nor_instances(self) -> None:
        self.api.claim(world.CHARLIE, 'blueGPU')
        answer = self.member.ask(
            'DELETE', f'{_FLAVORS}/blueGPU', dry_run='true'
        )
        self.assertEqual(200, answer.status_code)
        self.assertEqual({'pci_flavor', 'refusal'}, set(answer.json))
        self.assertEqual(
            'The PCI flavor is in use, or its name is taken.',
            answer.json['refusal'],
        )

    def test_publishing_has_a_rule_of_its_own(self) -> None:
        self.assertEqual(403, self.create(is_public=True).status_code)
        self.assertEqual(201, self.create().status_code)
        path = f'{_FLAVORS}/mine'
        self.assertEqual(403, self.status('PATCH', path, {'is_public': True}))
        self.assertEqual(200, self.status('PATCH', path, {'is_public': False}))

    def test_what_was_allowed_is_for_what_there_was(self) -> None:
        """An operator unshares the PCI flavor between check and change."""
        created = editing.create(
            self.api.db, 'mine', world.BLUE, match=_MATCH, access=[world.RED]
        )
        conductor = self.api.backends.conductor
        update = conductor.update_pci_flavor

        def update_later(*arguments: Any) -> Any:
            editing.update(
                self.api.db, 'mine', {'is_public': False, 'access': []}
            )
            return update(*arguments)

        self.useFixture(
            fixtures.MonkeyPatch(
                f'{type(conductor).__module__}.ConductorClient'
                '.update_pci_flavor',
                lambda client, *arguments: update_later(*arguments),
            )
        )
        path = f'{_FLAVORS}/{created.uuid}'
        asked = {'is_public': True, 'access': [world.RED]}
        self.assertEqual(409, self.status('PATCH', path, asked))
        now = lookup.get(self.api.db, 'mine')
        self.assertFalse(now.is_public)
        self.assertEqual([], now.access)

    def test_sharing_has_rules_of_its_own(self) -> None:
        """The rules for sharing also apply to creating and changing."""
        self.assertEqual(403, self.create(access=[world.RED]).status_code)
        self.assertEqual(201, self.create(access=[]).status_code)
        path = f'{_FLAVORS}/mine'
        shared = {'access': [world.RED]}
        self.assertEqual(403, self.status('PATCH', path, shared))
        self.assertEqual(403, self.status('PUT', f'{path}/access/{world.RED}'))
        self.assertEqual(200, self.status('PATCH', path, {'access': []}))


class SharedByOwnersTest(_OwnFlavorsTest):
    """The policy file lets owners share, but not stop sharing."""

    rules = {
        **_LOOSE,
        'pci_passthrough:pci_flavors:access:add': next(iter(_LOOSE.values())),
    }

    def test_sharing(self) -> None:
        self.assertEqual(201, self.create(access=[world.RED]).status_code)
        path = f'{_FLAVORS}/mine'
        more = {'access': [world.RED, world.OPS]}
        self.assertEqual(200, self.status('PATCH', path, more))
        self.assertEqual(204, self.status('PUT', f'{path}/access/green'))
        self.assertEqual(403, self.status('PATCH', path, {'access': []}))
        self.assertEqual(
            403, self.status('DELETE', f'{path}/access/{world.RED}')
        )
        foreign = f'{_FLAVORS}/redBlueGPU/access/green'
        self.assertEqual(403, self.status('PUT', foreign))
