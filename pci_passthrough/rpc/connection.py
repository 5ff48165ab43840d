# SPDX-License-Identifier: Apache-2.0
"""Opens the connection for RPC answers, within a time limit."""

from collections.abc import Callable
from concurrent import futures
import threading
import time
from typing import Any

from pci_passthrough import exception
from pci_passthrough.rpc import messaging

#: Seconds that ``close`` waits for a connection to end.
_CLOSE_SECONDS = 5.0


class ReplyConnection:
    """A transport's connection for answers, opened before the first call.

    oslo.messaging opens it in the first call of a process, waits for the
    broker without limit, and has neither an option nor an argument to limit
    the wait: ``retry`` and ``timeout`` concern the steps after it. So a thread
    opens it here, at most one at a time. The thread goes on when a caller has
    given up, and the next caller waits for the same attempt.

    The thread only opens the connection. A call whose caller has given up must
    not be sent when the broker comes back: it could claim devices for an
    instance that is gone.

    :param transport: from ``messaging.get_transport``.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        # Not in the interface of oslo.messaging; a test notices when it is
        # removed. Drivers that need no connection do not have it.
        self._connect = getattr(transport._driver, '_get_reply_q', None)
        self._lock = threading.Lock()
        self._attempt: futures.Future[object] | None = None

    def wait(self, seconds: float) -> float:
        """Wait for the connection; return the seconds that it took.

        :param seconds: longest wait.
        :raises: ConductorUnavailable
        """
        if self._connect is None:
            return 0.0
        begin = time.monotonic()
        attempt = self._current_attempt(self._connect)
        futures.wait([attempt], seconds)
        if not attempt.done():
            raise exception.ConductorUnavailable(
                f'no connection to the broker {self._broker()} within '
                f'{seconds:.0f} seconds'
            )
        error = attempt.exception()
        if error is not None:
            raise exception.ConductorUnavailable(
                f'no connection to the broker {self._broker()}: '
                f'{type(error).__name__}: {messaging.one_line(error)}'
            ) from error
        return time.monotonic() - begin

    def close(self) -> None:
        """Close the transport, but wait no longer than a few seconds.

        While the broker is down, oslo.messaging waits for it here. Then the
        transport is closed when the broker comes back or the process ends.
        """
        closing = threading.Thread(
            target=self._transport.cleanup, name='pci-close', daemon=True
        )
        closing.start()
        with self._lock:
            attempt = self._attempt
        if attempt is None or attempt.done():
            closing.join(_CLOSE_SECONDS)

    def _current_attempt(
        self, connect: Callable[[], object]
    ) -> futures.Future[object]:
        with self._lock:
            attempt = self._attempt
            if attempt is None or (attempt.done() and attempt.exception()):
                attempt = self._attempt = futures.Future()
                threading.Thread(
                    target=_settle,
                    args=(attempt, connect),
                    name='pci-connect',
                    daemon=True,
                ).start()
            return attempt

    def _broker(self) -> str:
        return messaging.describe_broker(self._transport)


def _settle(
    attempt: futures.Future[object], connect: Callable[[], object]
) -> None:
    try:
        attempt.set_result(connect())
    except BaseException as error:
        attempt.set_exception(error)
