# SPDX-License-Identifier: Apache-2.0
"""Serves ``/metrics`` over HTTP from any process of a conductor.

The process that starts the workers opens the socket and only listens; the
workers inherit the socket and answer. So an address that is in use is noticed
before a worker starts, no scrape is lost when a worker is replaced, and the
workers do not compete for the port.
"""

from collections.abc import Iterable
import http.server
import re
import socket
import sys
import threading
from typing import Any
import urllib.parse

from oslo_log import log as logging
import prometheus_client
from prometheus_client import registry

from pci_passthrough import exception
from pci_passthrough.services import metrics_census

LOG = logging.getLogger(__name__)

#: Seconds without progress after which a connection is closed.
_CLIENT_TIMEOUT = 10

#: Prometheus sends the number of seconds after which it gives up. A fifth of
#: it is reserved for writing the answer. Longer times than this are cut.
_TIMEOUT_HEADER = 'X-Prometheus-Scrape-Timeout-Seconds'
_TIMEOUT = re.compile(r'[0-9]{1,9}(\.[0-9]{1,9})?')
_LONGEST_SCRAPE = 60.0


class Listener:
    """The socket on which scrapes arrive; closed at first."""

    def __init__(self) -> None:
        self._address: tuple[str, int] | None = None
        self._socket: socket.socket | None = None

    def listen(self, host: str, port: int) -> None:
        """Listen on an address, and no longer on the one before.

        :param port: 0 means not to listen.
        :raises: InvalidConfiguration if the address cannot be used; then
            nothing is changed.
        """
        address = (host, port) if port else None
        if address == self._address:
            return
        opened = None if address is None else _open(host, port)
        self.close()
        self._address, self._socket = address, opened

    def serve(
        self, collectors: Iterable[registry.Collector]
    ) -> 'Server | None':
        """Answer scrapes in this process; return None if not listening."""
        if self._socket is None:
            return None
        return Server(self._socket, collectors)

    def close(self) -> None:
        """Stop listening in this process."""
        if self._socket is not None:
            self._socket.close()
        self._address, self._socket = None, None


def _open(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        raise exception.InvalidConfiguration(
            f'[conductor] metrics_port {port} of metrics_bind_host {host} '
            f'cannot be used: {error}'
        ) from error
    # All workers are woken by a connection, and one of them gets it: the
    # others must not block until the next one.
    opened.setblocking(False)
    return opened


class Server:
    """Answers scrapes from threads of its own until it is stopped."""

    def __init__(
        self,
        listening: socket.socket,
        collectors: Iterable[registry.Collector],
    ) -> None:
        answers = registry.CollectorRegistry()
        for collector in collectors:
            answers.register(collector)
        self._server = _Server(listening, answers)
        threading.Thread(
            target=self._server.serve_forever, name='metrics', daemon=True
        ).start()

    def stop(self) -> None:
        """Stop answering; the socket stays open for other processes."""
        self._server.shutdown()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, listening: socket.socket, answers: registry.CollectorRegistry
    ) -> None:
        super().__init__(
            listening.getsockname(),
            _Handler.factory(answers),
            bind_and_activate=False,
        )
        self.socket.close()
        self.socket = listening

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, unless the client only closed the connection."""
        error = sys.exception()
        if not isinstance(error, OSError):
            LOG.error('A scrape failed', exc_info=error)


class _Handler(prometheus_client.MetricsHandler):
    timeout = _CLIENT_TIMEOUT
    server_version = 'pci-passthrough-conductor'
    sys_version = ''

    def do_GET(self) -> None:
        if urllib.parse.urlsplit(self.path).path != '/metrics':
            self.send_error(404, explain='There is only /metrics.')
            return
        if wait := _TIMEOUT.fullmatch(self.headers.get(_TIMEOUT_HEADER, '')):
            seconds = min(float(wait[0]), _LONGEST_SCRAPE)
            # Each connection has its own thread and context.
            metrics_census.scrape_timeout.set(0.8 * seconds)
        super().do_GET()
