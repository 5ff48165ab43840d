# SPDX-License-Identifier: Apache-2.0
"""Tests of the deployed REST API, with OpenStack's clients.

Keystone authenticates the users, the API has read-only access to the
database, and ``openstack`` and ``nova`` run as separate processes.
"""

from collections.abc import Callable
import concurrent.futures
import functools
import re
from typing import Any
from typing import Final

from openstack import exceptions as sdk_exceptions
import requests

from pci_passthrough.tests.e2e import account
from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import shell

_GPU: Final = 'e.group=gpu'
_VERSION: Final = 'OpenStack-API-Version'


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """Call functions in parallel; ``openstack`` takes seconds to start."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return [
            future.result() for future in [pool.submit(call) for call in calls]
        ]


def _flavor(name: str, *words: str) -> tuple[str, ...]:
    """Return the words of an ``openstack pci flavor`` command."""
    return 'pci', 'flavor', *words, name


def _columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of a table."""
    return [tuple(row[name] for name in names) for row in rows]


class ApiTestCase(base.CloudTestCase):
    """Uses the API as the administrator and as users of projects.

    :ivar admin: the administrator's shell.
    :ivar name: the name for a PCI flavor of this test.
    :ivar token: the administrator's token.
    :ivar url: the URL of the API, with its version.
    """

    def setUp(self) -> None:
        super().setUp()
        self.admin = shell.Shell(self.cloud.control.credentials())
        self.name = self.getUniqueString(self._testMethodName)
        self.token = str(self.cloud.sdk.session.get_token())
        self.url = f'{self.cloud.control.site.url("pci-passthrough")}/v1'

    def account(self, role: str) -> account.Account:
        """Return a new user in a new project."""
        name = self.getUniqueString(role)
        return self.useFixture(account.Account(self.cloud, name, role))

    def new_token(self) -> str:
        """Return a new token of the administrator, which is in no cache."""
        with self.cloud.control.connect() as sdk:
            return str(sdk.session.get_token())

    def ask(self, method: str, path: str, **words: Any) -> requests.Response:
        """Send a request and return the response, whatever its status.

        :param words: arguments of ``requests``, and ``token``: by default
            the administrator's, None for no token.
        """
        token = words.pop('token', self.token)
        headers = {} if token is None else {'X-Auth-Token': token}
        return requests.request(
            method,
            f'{self.url}{path}',
            headers={**headers, **words.pop('headers', {})},
            timeout=processes.PATIENCE,
            **words,
        )

    def assert_error(
        self, answer: requests.Response, status: int, code: str
    ) -> None:
        """Check that a response has this project's form of errors."""
        self.assertEqual(status, answer.status_code, answer.text)
        self.assertEqual('application/json', answer.headers['Content-Type'])
        [error] = answer.json()['errors']
        self.assertEqual((status, code), (error['status'], error['code']))
        self.assertEqual(
            answer.headers['X-Openstack-Request-Id'], error['request_id']
        )

    def create(self) -> requests.Response:
        """Create the PCI flavor of this test, which matches all GPUs."""
        body = {'name': self.name, 'match': [{'e.group': 'gpu'}]}
        return self.ask('POST', '/pci-flavors', json=body)

    def delete_pci_flavor(self) -> None:
        """Delete the PCI flavor of this test, if there is one."""
        path = f'/pci-flavors/{self.name}?force=true'
        answer = self.ask('DELETE', path)
        self.assertIn(answer.status_code, (204, 404))


class PciFlavorTestCase(ApiTestCase):
    """PCI flavors for projects."""

    def test_private_one(self) -> None:
        friend, stranger = self.account('member'), self.account('reader')
        flavor, name = functools.partial(_flavor, self.name), self.name
        self.addCleanup(self.delete_pci_flavor)
        created = self.admin.table(
            *flavor('create', '--private', '--match', _GPU),
            *('--share', friend.project_id, '--description', 'all GPUs'),
        )
        self.assertEqual([{'e.group': 'gpu'}], created['match'])
        self.assertEqual([friend.project_id], created['access'])
        listed, shown, unseen, refused = _together(
            lambda: friend.shell.table('pci', 'flavor', 'list'),
            lambda: friend.shell.table(*flavor('show')),
            lambda: stranger.shell.fail('openstack', *flavor('show')),
            lambda: friend.shell.fail('openstack', *flavor('delete')),
        )
        self.assertEqual(
            [(created['uuid'], name, 'ok', 'active')],
            _columns(listed, 'UUID', 'Name', 'Availability', 'State'),
        )
        self.assertEqual('all GPUs', shown['description'])
        self.assertNotIn('project_id', shown)
        self.assertNotIn('access', shown)
        self.assertIn('(HTTP 404, pci_flavor.not_found, req-', unseen)
        self.assertIn('(HTTP 403, forbidden, req-', refused)
        self._change(stranger)

    def _change(self, other: account.Account) -> None:
        flavor = functools.partial(_flavor, self.name)
        self.admin.openstack(
            *flavor('set', '--state', 'deprecated', '--no-share'),
            *('--numa-policy', 'required', '--match', 'product_id=2330'),
        )
        self.admin.openstack(*flavor('access', 'add'), other.project_id)
        self.admin.openstack(*flavor('unset', '--description'))
        shown, listed = _together(
            lambda: self.admin.table(*flavor('show')),
            lambda: other.shell.table('pci', 'flavor', 'list'),
        )
        self.assertLessEqual(
            {
                'description': None,
                'numa_policy': 'required',
                'match': [{'product_id': '2330'}],
                'access': [other.project_id],
                'generation': 4,
            }.items(),
            shown.items(),
        )
        self.assertEqual(
            [(self.name, 'deprecated')], _columns(listed, 'Name', 'State')
        )

    def test_held_by_an_instance(self) -> None:
        friend, name = self.account('member'), self.name
        self.addCleanup(self.delete_pci_flavor)
        create = _flavor(
            *(name, 'create', '--private', '--match', _GPU),
            *('--share', friend.project_id),
        )
        created = self.admin.table(*create)
        # Only administrators may create servers without disk.
        flavor = self.create_flavor(disk=1, pci_flavor=name)
        server = self.wait_for_status(
            self.create_server(flavor, compute=friend.sdk.compute), 'ACTIVE'
        )
        self.assert_holdings(server)
        held = ('pci', 'device', 'list', '--long', '--held-by', name)
        devices, refused = _together(
            lambda: self.admin.table(*held),
            lambda: self.admin.fail('openstack', *_flavor(name, 'delete')),
        )
        self.assertEqual(
            [(server.id, name, server.name, 'allocated')],
            _columns(devices, 'Instance', 'PCI Flavor', 'Server', 'State'),
        )
        self.assertEqual(
            set(_columns(devices, 'Host', 'Address')),
            self.views.ours()[server.id],
        )
        self.assertIn('(HTTP 409, pci_flavor.in_use, req-', refused)
        self.assertIn(f'instances: {server.id} ', refused)
        self.admin.openstack(*_flavor(name, 'delete', '--force'))
        # The instance keeps its device, and the name remains taken.
        listed, refused = _together(
            lambda: friend.shell.table('pci', 'flavor', 'list'),
            lambda: self.admin.fail('openstack', *create),
        )
        self.assertEqual([], listed)
        self.assertIn('(HTTP 409, pci_flavor.exists, req-', refused)
        self.wait_for_status(server, 'ACTIVE')
        self.assert_holdings(server)
        self.delete(server)
        self.assert_all_free()
        again = self.create()
        self.assertEqual(201, again.status_code)
        self.assertNotEqual(created['uuid'], again.json()['uuid'])

    def test_nova(self) -> None:
        """Does the same with the ``nova`` command."""
        name = self.name
        self.addCleanup(self.delete_pci_flavor)
        shown = self.admin.succeed(
            'nova', 'pci-flavor-create', name, '--match', _GPU
        )
        self.assertRegex(shown, rf'\| name +\| {re.escape(name)} +\|')
        listed = self.admin.succeed('nova', 'pci-flavor-list')
        self.assertRegex(listed, rf'\| {re.escape(name)} +\| ok ')
        self.admin.succeed('nova', 'pci-flavor-delete', name)
        gone = self.ask('GET', f'/pci-flavors/{name}')
        self.assert_error(gone, 404, 'pci_flavor.not_found')


class InventoryTestCase(ApiTestCase):
    """Devices and hosts, which only operators see."""

    def test_device(self) -> None:
        host = next(iter(self.cloud.hosts))
        admin, of_host = self.admin, ('--host', host, '--vendor-id', '10de')
        slices = admin.table(
            'pci', 'device', 'list', *of_host, '--resource-type', 'mdev'
        )
        self.assertEqual(2, len(slices))
        devices = admin.table(
            'pci', 'device', 'list', *of_host, '--resource-type', 'pci'
        )
        self.assertEqual(4, len(devices))
        uuid, address = _columns(devices, 'UUID', 'Address')[0]
        change = ('pci', 'device', 'set', f'{host}/{address}')
        path = f'/pci-devices/{uuid}'
        self.addCleanup(self.ask, 'PATCH', path, json={'action': 'enable'})
        admin.openstack(*change, '--disable', '--reason', 'ECC errors')
        admin.openstack(*change, '--enable')
        events = admin.table('pci', 'device', 'history', uuid)[-2:]
        self.assertEqual(
            [('disable', 'ECC errors'), ('enable', None)],
            _columns(events, 'Action', 'Reason'),
        )
        for event in events:
            self.assertRegex(event['Actor'], '^admin .*pci-passthrough-api')

    def test_hosts_and_pools(self) -> None:
        hosts, pools = _together(
            lambda: self.admin.table('pci', 'host', 'list'),
            lambda: self.admin.table('pci', 'pool', 'list'),
        )
        self.assertEqual(
            [(name, 'up', 'up', 16) for name in sorted(self.cloud.hosts)],
            _columns(hosts, 'Host', 'State', 'Tracker State', 'Devices'),
        )
        for column in ('Free', 'Total'):
            self.assertEqual(32, sum(pool[column] for pool in pools))

    def test_supply(self) -> None:
        hosts = sorted(self.cloud.hosts)
        # Each host has two of these GPUs.
        name = self.create_pci_flavor('product_id=2330')
        user = self.account('reader').shell
        explain = _flavor(name, 'explain', '--count', '3')
        admins, users, refusals, reasons = _together(
            lambda: self.admin.table(*_flavor(name, 'capacity')),
            lambda: user.table(*_flavor(name, 'capacity', '--count', '3')),
            lambda: self.admin.table(*explain),
            lambda: user.table(*explain),
        )
        self.assertLessEqual(
            {'availability': 'ok', 'free': 4, 'total': 4}.items(),
            admins.items(),
        )
        self.assertEqual(hosts, [host['host'] for host in admins['hosts']])
        self.assertEqual(
            {'name': name, 'count': 3, 'availability': 'none'}, users
        )
        self.assertEqual(
            [(host, False, 'too_few') for host in hosts],
            _columns(refusals, 'Host', 'Serves', 'Condition'),
        )
        self.assertEqual([('too_few',)], _columns(reasons, 'Condition'))


class VersionTestCase(ApiTestCase):
    """Microversions."""

    def test_negotiation(self) -> None:
        words = ('--os-pci-passthrough-api-version', '1.99')
        listing = ('pci', 'flavor', 'list')
        listed, refused = _together(
            lambda: self.admin.table(words[0], '1.0', *listing),
            lambda: self.admin.fail('openstack', *words, *listing),
        )
        self.assertEqual([], listed)
        self.assertIn('does not have version 1.99', refused)
        for version, given in (('latest', '1.4'), ('1.0', '1.0')):
            answer = self._ask_in(version)
            self.assertEqual(200, answer.status_code)
            self.assertEqual(
                f'pci-passthrough {given}', answer.headers[_VERSION]
            )
        answer = self._ask_in('1.99')
        self.assert_error(answer, 406, 'version.unsupported')

    def _ask_in(self, version: str) -> requests.Response:
        headers = {_VERSION: f'pci-passthrough {version}'}
        return self.ask('GET', '/pci-flavors', headers=headers)


class TokenTestCase(ApiTestCase):
    """Authentication by tokens."""

    def test_bad_tokens(self) -> None:
        ended = self.new_token()
        self.cloud.sdk.session.delete(
            f'{self.cloud.control.site.url("keystone")}/auth/tokens',
            headers={'X-Subject-Token': ended},
        )
        keystone = self.cloud.control.site.url('keystone')
        for token in (None, 'nonsense', ended):
            answer = self.ask('GET', '/pci-flavors', token=token)
            self.assert_error(answer, 401, 'unauthenticated')
            self.assertEqual(
                f'Keystone uri="{keystone}"',
                answer.headers['WWW-Authenticate'],
            )
        # Only a token identifies the caller.
        headers = {'X-Identity-Status': 'Confirmed', 'X-Project-Id': 'p',
                   'X-Roles': 'admin', 'X-User-Id': 'u'}  # fmt: skip
        answer = self.ask('GET', '/pci-flavors', token=None, headers=headers)
        self.assert_error(answer, 401, 'unauthenticated')

    def test_keystone_away(self) -> None:
        unknown, keystone = (
            self.new_token(),
            self.cloud.daemons['keystone-api'],
        )
        self.addCleanup(self.cloud.control.start_keystone)
        keystone.kill()
        answer = self.ask('GET', '/pci-flavors', token=unknown)
        self.assert_error(answer, 503, 'unavailable')
        answer = self.ask('GET', '', token=None)
        self.assertEqual(200, answer.status_code)


class ConductorTestCase(ApiTestCase):
    """The API while conductors are down, and with two API processes."""

    def test_away(self) -> None:
        path = f'/pci-flavors/{self.create_pci_flavor(_GPU)}'
        before = self.ask('GET', path)
        conductor = self.cloud.daemons['pci-passthrough-conductor']
        begin = len(conductor.log)
        self.addCleanup(conductor.start)
        conductor.kill()
        tag = {'If-Match': before.headers['ETag']}
        change = {'state': 'disabled'}
        for answer in _together(
            lambda: self.create(),
            lambda: self.ask('PATCH', path, headers=tag, json=change),
            lambda: self.ask('DELETE', path),
        ):
            self.assert_error(answer, 503, 'conductor.unavailable')
        for asked in (
            path,
            f'{path}/explain',
            '/pci-flavors?availability=true',
            '/pci-devices',
            '/pci-pools',
            '/hosts',
        ):
            answer = self.ask('GET', asked)
            self.assertEqual(200, answer.status_code, asked)
        answer = self.ask('DELETE', f'{path}?dry_run=true')
        self.assertEqual(8, answer.json()['devices']['lost'])
        conductor.start()
        conductor.wait_for_log('is ready', begin)
        self.addCleanup(self.delete_pci_flavor)
        # None of the changes is made later.
        self.assertEqual(201, self.create().status_code)
        after = self.ask('GET', path)
        self.assertEqual(before.json(), after.json())

    def test_two_processes(self) -> None:
        """Each API process has its own connections to the conductors."""
        self.addCleanup(self.delete_pci_flavor)
        service = self.cloud.daemons['pci-passthrough-api']
        begin = len(service.log)
        self.assertEqual(201, self.create().status_code)
        path, tag = f'/pci-flavors/{self.name}', {'If-Match': '*'}

        def change(number: int) -> int:
            text = {'description': f'number {number}'}
            answer = self.ask('PATCH', path, headers=tag, json=text)
            return answer.status_code

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual({200}, set(pool.map(change, range(20))))
        answer = self.ask('GET', path)
        self.assertEqual(21, answer.json()['generation'])
        asked = re.compile(r'^\[pid: (\d+).* PATCH /v1', re.MULTILINE)
        self.assertEqual(2, len(set(asked.findall(service.log[begin:]))))


class QuotaTestCase(ApiTestCase):
    """A project with a limit in Keystone, set as the manual says."""

    def test_limit(self) -> None:
        gpu = self.create_pci_flavor(_GPU)
        # Users boot from a disk of the host.
        flavor = self.create_flavor(disk=1, pci_flavor=gpu)
        user = self.account('member')
        service = ('--service', 'pci-passthrough', '--region', 'RegionOne')
        resource = f'pci_flavor:{gpu}'
        registered = self.admin.table(
            *('registered', 'limit', 'create', *service),
            *('--default-limit', '0', resource),
        )
        self.addCleanup(
            self.admin.openstack,
            *('registered', 'limit', 'delete', registered['id']),
        )
        error = self.assertRaises(
            sdk_exceptions.ForbiddenException,
            self.create_server,
            *(flavor, None, user.sdk.compute),
        )
        self.assertIn(
            f'Quota exceeded for PCI flavor {gpu}: 1 wanted, 0 of 0 used',
            str(error),
        )
        limit = self.admin.table(
            *('limit', 'create', *service, '--project', user.project_id),
            *('--resource-limit', '1', resource),
        )
        self.addCleanup(self.admin.openstack, 'limit', 'delete', limit['id'])
        server = self.create_server(flavor, compute=user.sdk.compute)
        self.wait_for_status(server, 'ACTIVE')
        self.assert_holdings(server)
        self.assertRaises(
            sdk_exceptions.ForbiddenException,
            self.create_server,
            *(flavor, None, user.sdk.compute),
        )
        command = ('pci', 'usage', 'list')
        row = {
            'Project': user.project_id,
            'PCI Flavor': gpu,
            'Used': 1,
            'Limit': 1,
        }
        self.assertEqual([row], user.shell.table(*command))
        [charged] = self.admin.table(
            *(*command, '--all-projects', '--pci-flavor', gpu),
            *('--start', '2026-01-01'),
        )
        self.assertLess(0, charged['Device Seconds'])
        self.delete(server)
