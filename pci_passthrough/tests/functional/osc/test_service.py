# SPDX-License-Identifier: Apache-2.0
"""Endpoint and version of the service, and errors with them."""

from collections.abc import Iterable
import json
import pathlib
from typing import TYPE_CHECKING

import fixtures

from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import shells

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

_OPTION = '--os-pci-passthrough-api-version'


class _Canned:
    """A WSGI application with the same response for every request."""

    def __init__(self, status: str, body: object) -> None:
        self._status = status
        self._body = body

    def __call__(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        text = json.dumps(self._body).encode()
        headers = [
            ('Content-Type', 'application/json'),
            ('Content-Length', str(len(text))),
        ]
        start_response(self._status, headers)
        return [text]


class VersionTestCase(base.OscTestCase):
    def test_there(self) -> None:
        for version in ('1.0', '1', 'latest'):
            self.succeed(self.member(f'{_OPTION} {version} pci flavor list'))
        self.url = f'{self.api.url}/v1'
        self.succeed(self.member(f'{_OPTION} latest pci flavor list'))

    def test_not_there(self) -> None:
        self.assert_error(
            self.member(f'{_OPTION} 1.999 pci flavor list'),
            'version 1.999',
            'it has 1.0 to 1.',
        )
        name = 'OS_PCI_PASSTHROUGH_API_VERSION'
        for version, status in (('latest', 0), ('1.999', 1)):
            with fixtures.EnvironmentVariable(name, version):
                outcome = self.member('pci flavor list')
            self.assertEqual(status, outcome.status, outcome.stderr)


class CloudsYamlTestCase(base.OscTestCase):
    def run_configured(self, version: str) -> shells.Outcome:
        folder = self.useFixture(fixtures.TempDir()).path
        file = pathlib.Path(folder) / 'clouds.yaml'
        settings = {
            'auth_type': 'admin_token',
            'auth': {
                'endpoint': 'http://127.0.0.1:9',
                'token': 'user:project:reader',
            },
            'pci_passthrough_api_version': version,
            'pci_passthrough_endpoint_override': self.url,
        }
        file.write_text(json.dumps({'clouds': {'mine': settings}}))
        self.useFixture(
            fixtures.EnvironmentVariable('OS_CLIENT_CONFIG_FILE', str(file))
        )
        return self.shell.openstack(
            '--os-cloud', 'mine', 'pci', 'flavor', 'list'
        )

    def test_settings(self) -> None:
        for version in ('1', '1.0', '1.latest'):
            self.succeed(self.run_configured(version))
        self.assert_error(self.run_configured('1.999'), 'it has 1.0 to')

    def test_no_version(self) -> None:
        """osc-lib finds the commands by the first digit of the version."""
        self.assert_error(self.run_configured('latest'), "'1.latest'")


class NotThisServiceTestCase(base.ShellTestCase):
    """Nobody answers at the endpoint, or another service."""

    def test_no_version(self) -> None:
        outcome = self.member(f'{_OPTION} 2.0 pci flavor list')
        self.assertEqual(2, outcome.status)
        self.assertIn("'2.0' is not a version", outcome.stderr)

    def test_service_of_the_future(self) -> None:
        version = {
            'id': 'v1.0',
            'status': 'CURRENT',
            'min_version': '1.50',
            'max_version': '1.60',
            'links': [{'rel': 'self', 'href': 'http://x/v1'}],
        }
        answer = _Canned('200 OK', {'versions': [version]})
        self.url = self.useFixture(base.Served(answer)).url
        self.assert_error(
            self.member('pci flavor list'), '1.50 to 1.60', 'upgraded'
        )

    def test_nobody_answers(self) -> None:
        with base.Served(_Canned('200 OK', {})) as served:
            self.url = served.url
        self.assert_error(
            self.member('pci flavor list'), 'does not answer', self.url
        )

    def test_somebody_else_answers(self) -> None:
        for status in ('200 OK', '404 Not Found'):
            self.url = self.useFixture(
                base.Served(_Canned(status, ['hello']))
            ).url
            self.assert_error(
                self.member('pci flavor list'), self.url, 'endpoint right'
            )


class AnswerTestCase(base.OscTestCase):
    def test_no_valid_token(self) -> None:
        self.assert_error(self.run_as('x', 'pci flavor list'), 'HTTP 401')

    def test_out_of_order(self) -> None:
        """The service answers, but its conductor does not."""
        error = {
            'status': 503,
            'code': 'conductor.unavailable',
            'title': 'Service Unavailable',
            'detail': 'No conductor answers.',
            'request_id': 'req-1',
        }
        canned = _Canned('503 Service Unavailable', {'errors': [error]})

        def half(
            environ: 'WSGIEnvironment', start_response: 'StartResponse'
        ) -> Iterable[bytes]:
            if environ['REQUEST_METHOD'] == 'GET':
                return self.api.application(environ, start_response)
            return canned(environ, start_response)

        self.url = self.useFixture(base.Served(half)).url
        self.assert_error(
            self.admin('pci flavor create', 'x', '--match', 'a=b'),
            'No conductor answers. (HTTP 503, conductor.unavailable, req-1)',
        )

    def test_traceback_only_for_developers(self) -> None:
        words = ('--debug', 'pci', 'flavor', 'show', 'x')
        outcome = self.shell.openstack(
            '--os-auth-type', 'admin_token', '--os-endpoint', self.url,
            '--os-token', 'user:project:reader', *words,
        )  # fmt: skip
        self.assertEqual(1, outcome.status)
        self.assertIn('Traceback', outcome.stderr)


class CatalogueTestCase(base.OscTestCase):
    """The endpoint comes from the catalogue of Keystone."""

    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.useFixture(
            cloud.CloudFixture(
                {'demo': base.PROJECT, 'ops': base.OTHER_PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url},
            )
        )

    def run_in_cloud(self, *words: str) -> shells.Outcome:
        return self.shell.openstack(*self.cloud.login('admin', 'ops'), *words)

    def test_found(self) -> None:
        self.succeed(self.run_in_cloud('pci', 'host', 'list'))

    def test_not_in_the_catalogue(self) -> None:
        for words in (
            ('--os-region-name', 'two'),
            ('--os-interface', 'internal'),
        ):
            self.assert_error(
                self.run_in_cloud(*words, 'pci', 'host', 'list'),
                'no endpoint of a service of type pci-passthrough',
                words[1],
            )

    def test_endpoint_override(self) -> None:
        name = 'OS_PCI_PASSTHROUGH_ENDPOINT_OVERRIDE'
        with fixtures.EnvironmentVariable(name, self.api.url):
            self.succeed(
                self.run_in_cloud(
                    '--os-region-name', 'two', 'pci', 'host', 'list'
                )
            )

    def test_projects_by_name(self) -> None:
        self.api.add_flavor('gpu')
        for words in ((), ('--project-domain', 'default')):
            self.succeed(
                self.run_in_cloud(
                    'pci', 'flavor', 'set', 'gpu', '--no-share',
                    '--share', 'demo', *words,
                )
            )  # fmt: skip
        shown = self.run_in_cloud(
            'pci', 'flavor', 'access', 'list', 'gpu', '-f', 'value'
        )
        self.assertEqual(f'{base.PROJECT}\n', self.succeed(shown).stdout)
        self.assert_error(
            self.run_in_cloud('pci', 'flavor', 'access', 'add', 'gpu', 'x'),
            'Keystone does not know project x',
        )

    def test_project_by_name_without_keystone(self) -> None:
        self.api.add_flavor('gpu')
        self.assert_error(
            self.admin('pci flavor access add', 'gpu', 'demo'), 'UUID'
        )


class CompletionTestCase(base.ShellTestCase):
    def test_bash(self) -> None:
        script = self.succeed(self.shell.openstack('complete')).stdout
        for line in (
            "cmds_pci='device flavor host pool refusal usage'",
            "cmds_pci_device='history list resolve set show'",
            "cmds_pci_flavor='access capacity create delete explain list set "
            "show unset'",
            "cmds_pci_flavor_access='add list remove'",
        ):
            self.assertIn(line, script)
