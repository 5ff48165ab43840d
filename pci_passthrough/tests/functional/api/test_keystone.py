# SPDX-License-Identifier: Apache-2.0
"""Keystone's middleware before the application, as in production."""

from typing import Any

from keystonemiddleware import fixture as keystone_fixture
import testtools
from werkzeug import test

from pci_passthrough.api import authentication
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.store import base

_SETTINGS = """
[keystone_authtoken]
www_authenticate_uri = http://keystone.example
auth_type = password
auth_url = http://127.0.0.1:1
username = pci
password = secret
"""

_FLAVORS = '/v1/pci-flavors'


class KeystoneTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(
            fixture.ApiFixture(
                served=False,
                settings=_SETTINGS,
                authenticate=authentication.keystone,
            )
        )
        self.client = test.Client(self.api.application)

    def get(self, path: str, **headers: str) -> test.TestResponse:
        """Send a GET request; the headers' names have _ instead of -."""
        named = {name.replace('_', '-'): headers[name] for name in headers}
        return self.client.get(path, headers=named)

    def assert_error(
        self, status: int, code: str, answer: test.TestResponse
    ) -> None:
        """Check that an answer is an error in the form of all errors."""
        self.assertEqual(status, answer.status_code)
        assert answer.json is not None
        [error] = answer.json['errors']
        self.assertEqual((status, code), (error['status'], error['code']))
        self.assertEqual(
            answer.headers['X-Openstack-Request-Id'], error['request_id']
        )


class TokensTestCase(KeystoneTest):
    def setUp(self) -> None:
        super().setUp()
        tokens = self.useFixture(keystone_fixture.AuthTokenFixture())
        for token, user, project, roles in (
            ('operator', 'Jürgen 日本', 'ops', ['admin', 'member', 'reader']),
            ('user', 'una', 'blue', ['reader']),
            ('unscoped', 'una', None, []),
        ):
            tokens.add_token_data(
                token_id=token,
                user_id=f'id of {token}',
                user_name=user,
                user_domain_id='default',
                project_id=project,
                project_name=project,
                project_domain_id='default' if project else None,
                role_list=roles,
            )

    def test_discovery_needs_no_token(self) -> None:
        for path in ('/', '/v1', '/v1/openapi.json', '/healthcheck'):
            self.assertEqual(200, self.get(path).status_code, path)

    def test_discovery_below_another_path(self) -> None:
        for path in ('', '/'):
            answer = self.client.open(
                environ_overrides={'SCRIPT_NAME': '/pci', 'PATH_INFO': path}
            )
            self.assertEqual(200, answer.status_code, path)
            self.assertIn('/pci/v1', answer.text)

    def test_without_a_good_token(self) -> None:
        forged: dict[str, Any] = {
            'X_Identity_Status': 'Confirmed',
            'X_Roles': 'admin',
            'X_Project_Id': 'ops',
            'X_User_Id': 'mallory',
        }
        for headers in ({}, {'X_Auth_Token': 'bad'}, forged):
            for path in (_FLAVORS, '/v1/hosts', '/nothing/here', '/v1/'):
                answer = self.get(path, **headers)
                self.assert_error(401, 'unauthenticated', answer)
                self.assertEqual(
                    'Keystone uri="http://keystone.example"',
                    answer.headers['WWW-Authenticate'],
                )

    def test_roles_are_those_of_the_token(self) -> None:
        mine = {'X_Auth_Token': 'user'}
        self.assertEqual(200, self.get(_FLAVORS, **mine).status_code)
        answer = self.get('/v1/hosts', X_Roles='admin', **mine)
        self.assert_error(403, 'forbidden', answer)
        answer = self.get('/v1/hosts', X_Auth_Token='operator')
        self.assertEqual(200, answer.status_code)

    def test_a_token_of_no_project(self) -> None:
        answer = self.get(_FLAVORS, X_Auth_Token='unscoped')
        self.assert_error(403, 'forbidden', answer)

    def test_names_of_users_are_kept(self) -> None:
        self.api.add_host('c1', [base.gpu(1)])
        headers = {'X-Auth-Token': 'operator'}
        device = self.client.get('/v1/pci-devices', headers=headers)
        assert device.json is not None
        path = f'/v1/pci-devices/{device.json["pci_devices"][0]["uuid"]}'
        change = {'action': 'disable', 'reason': 'loud'}
        answer = self.client.patch(path, json=change, headers=headers)
        self.assertEqual(200, answer.status_code)
        history = self.client.get(f'{path}/history', headers=headers)
        assert history.json is not None
        self.assertEqual(
            'Jürgen 日本 id of operator (pci-passthrough-api)',
            history.json['events'][-1]['actor'],
        )


class KeystoneAwayTestCase(KeystoneTest):
    def test_it_is_no_fault_of_the_token(self) -> None:
        answer = self.get(_FLAVORS, X_Auth_Token='good')
        self.assert_error(503, 'unavailable', answer)
        self.assertNotIn('127.0.0.1', answer.text)

    def test_what_needs_no_token(self) -> None:
        self.assertEqual(200, self.get('/', X_Auth_Token='good').status_code)
