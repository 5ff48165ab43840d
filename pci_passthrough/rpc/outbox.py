# SPDX-License-Identifier: Apache-2.0
"""Messages that nobody waits for, sent by a thread of their own."""

from collections.abc import Callable
from collections.abc import Mapping
import queue
import threading
from typing import Any

from oslo_log import log as logging

from pci_passthrough.rpc import messaging

LOG = logging.getLogger(__name__)

#: Messages that wait at most. More come only while the broker is away.
_MOST_WAITING = 100

#: Seconds that ``close`` waits for what is not sent yet.
_CLOSE_SECONDS = 5.0

_Message = tuple[str, Mapping[str, Any]]


class Outbox:
    """Sends one message after the other, and logs what it could not send.

    Even to hand a message to the broker takes a while when it is away. The
    thread begins with the first message.

    :param send: gets a method's name and its arguments; may raise.
    """

    def __init__(self, send: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._send = send
        self._waiting: queue.Queue[_Message | None] = queue.Queue(
            _MOST_WAITING
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, method: str, arguments: Mapping[str, Any]) -> None:
        """Have a message sent; return at once."""
        try:
            self._waiting.put_nowait((method, arguments))
        except queue.Full:
            LOG.warning(
                'Dropped a message %r: %d others are waiting for the broker',
                method,
                _MOST_WAITING,
            )
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name='pci-outbox', daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Send what is waiting, but wait no longer than a few seconds."""
        with self._lock:
            thread = self._thread
        if thread is None:
            return
        try:
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            return
        thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            method, arguments = message
            try:
                self._send(method, arguments)
            except Exception as error:
                # Whatever it is, this message is lost and no other.
                LOG.warning(
                    'A message %r was not sent: %s: %s',
                    method,
                    type(error).__name__,
                    messaging.one_line(error),
                )
                LOG.debug('A message was not sent', exc_info=True)
