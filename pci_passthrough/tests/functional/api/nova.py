# SPDX-License-Identifier: Apache-2.0
"""Stands in for Nova's REST API, of which only host aggregates are asked."""

from collections.abc import Iterable
import json
import threading
from typing import Any
from typing import TYPE_CHECKING

import fixtures
from werkzeug import serving
from werkzeug import wrappers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment


class _Quiet(serving.WSGIRequestHandler):
    """Does not print each request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Print nothing."""


class Nova(fixtures.Fixture):
    """A server that lists host aggregates, on a port of its own.

    :ivar aggregates: what it answers; None means HTTP 503.
    :ivar settings: the section ``[nova]`` for it.
    """

    aggregates: list[dict[str, Any]] | None

    def _setUp(self) -> None:
        self.aggregates = []
        server = serving.make_server(
            '127.0.0.1', 0, self._answer, request_handler=_Quiet
        )
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.settings = (
            '[nova]\nauth_type = none\n'
            f'endpoint_override = http://127.0.0.1:{server.server_port}\n'
        )

    def add(self, *hosts: str, **metadata: str) -> None:
        """Add an aggregate."""
        self.aggregates = [
            *(self.aggregates or ()),
            {'hosts': list(hosts), 'metadata': metadata},
        ]

    def _answer(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        response = wrappers.Response(
            json.dumps({'aggregates': self.aggregates}),
            503 if self.aggregates is None else 200,
            content_type='application/json',
        )
        if environ['PATH_INFO'] != '/os-aggregates':
            response = wrappers.Response(status=404)
        return response(environ, start_response)
