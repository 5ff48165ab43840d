# SPDX-License-Identifier: Apache-2.0
"""The connection on which answers come: waited for, but not for ever."""

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
    """A transport's connection for answers, made before the first call.

    oslo.messaging makes it in the first call of a process, waits for the
    broker however long, and has neither an option nor an argument to bound
    that: ``retry`` and ``timeout`` are for what comes after. So a thread
    makes it here, one at a time and no more: it goes on when a caller has
    given up, and the next one waits for the same.

    Only the connection is made there. A call which nobody waits for any
    more must not be sent when the broker comes back: it could claim devices
    for an instance that is gone.

    :param transport: from ``messaging.get_transport``.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        # Not in the interface of oslo.messaging; a test notices when it
        # goes. Drivers that need no connection do not have it.
        self._connect = getattr(transport._driver, '_get_reply_q', None)
        self._lock = threading.Lock()
        self._attempt: futures.Future[object] | None = None

    def wait(self, seconds: float) -> float:
        """Return after how many seconds there is a connection.

        :param seconds: to wait at most.
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

        oslo.messaging waits there for a broker that is away. What is not
        closed then is closed when the broker is back, or the process ends.
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
