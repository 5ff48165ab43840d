# SPDX-License-Identifier: Apache-2.0
"""Sends messages from a thread of its own, so that callers need not wait."""

from collections.abc import Callable
import queue
import threading

from oslo_log import log as logging

from pci_passthrough.rpc import messaging

LOG = logging.getLogger(__name__)

#: Most messages that wait to be sent; there are more only while no conductor
#: answers.
_MOST_WAITING = 100

#: Seconds that ``close`` waits for messages that are not sent yet.
_CLOSE_SECONDS = 5.0

_Message = tuple[str, Callable[[], object]]


class Outbox:
    """Sends one message after the other, and logs those that it cannot send.

    The thread starts with the first message.
    """

    def __init__(self) -> None:
        self._waiting: queue.Queue[_Message | None] = queue.Queue(
            _MOST_WAITING
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, name: str, send: Callable[[], object]) -> None:
        """Have a message sent; return at once.

        :param name: the message's name, for the log.
        :param send: sends the message and waits until it is delivered. It may
            raise any error.
        """
        try:
            self._waiting.put_nowait((name, send))
        except queue.Full:
            LOG.warning(
                'Dropped a message %r: %d others are waiting to be sent',
                name,
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
        """Send the waiting messages, but wait no longer than a few seconds."""
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
            name, send = message
            try:
                send()
            except Exception as error:
                # Any error loses this message only; the thread goes on.
                LOG.warning(
                    'Message %r was not delivered: %s: %s',
                    name,
                    type(error).__name__,
                    messaging.one_line(error),
                )
                LOG.debug('Message %r was not delivered', name, exc_info=True)
