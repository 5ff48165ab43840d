# SPDX-License-Identifier: Apache-2.0
"""A fake Keystone, and the version document of a Nova."""

from collections.abc import Mapping
from http import server
import json
import threading
from typing import Any
from urllib import parse

import fixtures

from pci_passthrough.tests.functional.api import fixture

_FOREVER = '2126-01-01T00:00:00.000000Z'


class CloudFixture(fixtures.Fixture):
    """A Keystone whose tokens ``authentication.NoAuth`` trusts.

    :param projects: UUIDs by name.
    :param endpoints: URLs by service type, region and interface.
    :ivar url: of Keystone's version 3.
    """

    def __init__(
        self,
        projects: Mapping[str, str],
        endpoints: Mapping[tuple[str, str, str], str],
    ) -> None:
        super().__init__()
        self._projects = projects
        self._endpoints = dict(endpoints)

    def _setUp(self) -> None:
        cloud = self

        class Handler(server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(*cloud._get(self.path))

            def do_POST(self) -> None:
                size = int(self.headers['Content-Length'])
                body = json.loads(self.rfile.read(size))
                self.answer(*cloud._log_in(body))

            def answer(self, status: int, body: Any, token: str = '') -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(text)))
                if token:
                    self.send_header('X-Subject-Token', token)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                """Print nothing."""

        httpd = server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        thread = threading.Thread(
            target=httpd.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        self.addCleanup(httpd.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(httpd.shutdown)
        self._root = f'http://127.0.0.1:{httpd.server_port}'
        self.url = f'{self._root}/v3'
        self._endpoints['identity', 'one', 'public'] = self.url
        self._endpoints.setdefault(
            ('compute', 'one', 'public'), f'{self._root}/v2.1'
        )

    def login(self, user: str, project: str) -> list[str]:
        """Return the login options of a user; ``admin`` is administrator."""
        return [
            '--os-auth-url', self.url, '--os-username', user,
            '--os-password', 'secret', '--os-project-name', project,
            '--os-user-domain-id', 'default',
            '--os-project-domain-id', 'default',
        ]  # fmt: skip

    def _get(self, path: str) -> tuple[int, Any]:
        parts = parse.urlsplit(path)
        steps = parts.path.strip('/').split('/')
        if steps[1:] == ['projects']:
            [wanted] = parse.parse_qs(parts.query)['name']
            return 200, {
                'projects': [
                    {'id': uuid, 'name': name}
                    for name, uuid in self._projects.items()
                    if name == wanted
                ]
            }
        if steps[1:] == ['domains', 'default']:
            return 200, {'domain': {'id': 'default', 'name': 'Default'}}
        if len(steps) == 1:
            return 200, {'version': self._version(steps[0])}
        return 404, {'error': {'code': 404, 'message': 'Not here'}}

    def _version(self, name: str) -> dict[str, Any]:
        return {
            'id': name,
            'status': 'CURRENT',
            'min_version': '2.1' if name == 'v2.1' else '',
            'version': '2.96' if name == 'v2.1' else '',
            'updated': _FOREVER,
            'links': [{'rel': 'self', 'href': f'{self._root}/{name}/'}],
        }

    def _log_in(self, body: Any) -> tuple[int, Any, str]:
        user = body['auth']['identity']['password']['user']['name']
        project = self._projects[body['auth']['scope']['project']['name']]
        roles = ['reader', 'member']
        if user == 'admin':
            roles.append('admin')
        token = {
            'methods': ['password'],
            'expires_at': _FOREVER,
            'issued_at': '2026-01-01T00:00:00.000000Z',
            'user': {'id': user, 'name': user, 'domain': {'id': 'default'}},
            'project': {'id': project, 'domain': {'id': 'default'}},
            'roles': [{'id': role, 'name': role} for role in roles],
            'catalog': self._catalog(),
        }
        return (
            201,
            {'token': token},
            fixture.ApiFixture.token(user, project, *roles),
        )

    def _catalog(self) -> list[dict[str, Any]]:
        return [
            {
                'id': service,
                'name': service,
                'type': service,
                'endpoints': [
                    {
                        'id': url,
                        'region': region,
                        'region_id': region,
                        'interface': interface,
                        'url': url,
                    }
                ],
            }
            for (service, region, interface), url in self._endpoints.items()
        ]
