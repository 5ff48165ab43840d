# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-manage audit``, with a small Nova that answers as Nova."""

from collections.abc import Mapping
import http.server
import json
import threading
from typing import Any
from typing import ClassVar
from urllib import parse

from pci_passthrough.tests.functional.cmd import running
from pci_passthrough.tests.functional.cmd import test_manage

_KNOWN = '11111111-1111-4111-8111-111111111111'
_GONE = '22222222-2222-4222-8222-222222222222'


class _Nova(http.server.BaseHTTPRequestHandler):
    """One server, which is asked for as Nova wants it.

    :cvar host: where the server is.
    :cvar is_broken: whether each answer is an error.
    """

    host: ClassVar[str] = 'one'
    is_broken: ClassVar[bool] = False

    def do_GET(self) -> None:
        """Answer ``/servers/detail`` and ``/servers/<id>``."""
        url = parse.urlsplit(self.path)
        query = parse.parse_qs(url.query)
        server = {
            'id': _KNOWN,
            'status': 'ACTIVE',
            'tenant_id': 'p',
            'OS-EXT-SRV-ATTR:host': self.host,
            'OS-EXT-STS:task_state': None,
            'flavor': {'extra_specs': {'pci_passthrough:pci_flavor': '10g'}},
        }
        if self.is_broken or (
            self.headers['OpenStack-API-Version'] != 'compute 2.69'
        ):
            self.answer(500, {})
        elif url.path == '/servers/detail' and 'all_tenants' in query:
            is_left = query.get('host', [self.host]) == [self.host]
            is_left = is_left and 'marker' not in query
            self.answer(200, {'servers': [server] if is_left else []})
        elif url.path == f'/servers/{_KNOWN}':
            self.answer(200, {'server': server})
        else:
            self.answer(404, {'itemNotFound': {'message': 'not found'}})

    def answer(self, status: int, document: Mapping[str, Any]) -> None:
        """Send a document."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


class AuditTest(test_manage.ManageTestCase):
    def setUp(self) -> None:
        super().setUp()

        class Nova(_Nova):
            """That of this test."""

        self.nova: type[_Nova] = Nova
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), self.nova)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.manage.configure(
            self.manage.url,
            '[nova]\nauth_type = none\nendpoint_override = '
            f'http://127.0.0.1:{server.server_port}\n',
        )

    def audit(self, status: int, *words: str) -> list[tuple[str, ...]]:
        """Audit; return host, instance, difference and result."""
        outcome = self.manage.run('audit', '-f', 'json', *words)
        self.assertEqual(status, outcome.status, outcome.err)
        return [
            tuple(
                row[name]
                for name in ('Host', 'Instance', 'Difference', 'Result')
            )
            for row in outcome.data
        ]

    def test_story(self) -> None:
        self.ok('claim', _KNOWN, '10g', '--host', 'one', '--allocate')
        self.assertEqual([], self.audit(0))
        self.ok('claim', _GONE, '10g', '--host', 'two', '--allocate')
        self.assertEqual([], self.audit(0, '--host', 'one'))
        [(*difference, result)] = self.audit(3)
        self.assertEqual(['two', _GONE, 'unknown instance'], difference)
        self.assertIn('--fix', result)
        self.assertEqual(
            [('two', _GONE, 'unknown instance', 'freed')],
            self.audit(0, '--fix'),
        )
        self.assertEqual([], self.audit(0))

    def test_what_is_only_reported(self) -> None:
        self.ok('claim', _KNOWN, '10g', '--host', 'two', '--allocate')
        before = self.ok('device', 'list', '-f', 'json')
        found = self.audit(3, '--fix')
        self.assertEqual(
            [
                ('one', _KNOWN, 'too few devices'),
                ('two', _KNOWN, 'other host'),
            ],
            [row[:3] for row in found],
        )
        self.assertEqual(before, self.ok('device', 'list', '-f', 'json'))

    def test_nova_does_not_answer(self) -> None:
        self.ok('claim', _GONE, '10g', '--host', 'two')
        self.nova.is_broken = True
        outcome = self.manage.run('audit', '--fix')
        self.assertEqual(1, outcome.status)
        self.assertIn('Nova does not tell its servers', outcome.err)
        self.nova.is_broken = False
        self.assertIn(
            ('two', _GONE, 'unknown instance'),
            [row[:3] for row in self.audit(3)],
        )

    def test_no_credentials(self) -> None:
        self.manage.configure(self.manage.url)
        outcome: running.Outcome = self.manage.run('audit')
        self.assertEqual(1, outcome.status)
        self.assertIn('[nova] auth_type is not set', outcome.err)
