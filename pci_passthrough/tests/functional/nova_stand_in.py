# SPDX-License-Identifier: Apache-2.0
"""A small REST API that answers about servers as Nova does."""

from collections.abc import Mapping
import http.server
import json
import threading
from typing import Any
from typing import ClassVar
from urllib import parse

import fixtures

#: The server that it has.
KNOWN = '11111111-1111-4111-8111-111111111111'

#: One that it does not have.
GONE = '22222222-2222-4222-8222-222222222222'


class _Handler(http.server.BaseHTTPRequestHandler):
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
            'id': KNOWN,
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
        elif url.path == f'/servers/{KNOWN}':
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


class Nova(fixtures.Fixture):
    """A running stand-in, with one server that wants one ``10g``.

    :ivar answers: its attributes can be set: see ``_Handler``.
    :ivar config: the section of a configuration file with which it is asked.
    """

    def _setUp(self) -> None:
        class Answers(_Handler):
            """Those of this fixture."""

        self.answers: type[_Handler] = Answers
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answers)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.config = (
            '[nova]\nauth_type = none\nendpoint_override = '
            f'http://127.0.0.1:{server.server_port}\n'
        )
