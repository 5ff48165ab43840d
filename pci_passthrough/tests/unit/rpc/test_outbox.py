# SPDX-License-Identifier: Apache-2.0
"""Messages that nobody waits for."""

from collections.abc import Mapping
import threading
from typing import Any

import fixtures
import testtools

from pci_passthrough.rpc import outbox


class OutboxTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.sent: list[str] = []
        self.way_is_free = threading.Event()
        self.addCleanup(self.way_is_free.set)

    def send(self, method: str, arguments: Mapping[str, Any]) -> None:
        self.way_is_free.wait()
        if method == 'bad':
            raise ConnectionError('refused\nand more')
        self.sent.append(method)

    def end(self, box: outbox.Outbox) -> None:
        """Close it, and wait longer than it does itself."""
        assert box._thread is not None
        box.close()
        box._thread.join()

    def test_in_order_and_what_fails_stops_nothing(self) -> None:
        box = outbox.Outbox(self.send)
        for method in ('one', 'bad', 'two'):
            box.put(method, {})
        self.assertEqual([], self.sent)
        self.way_is_free.set()
        self.end(box)
        self.assertEqual(['one', 'two'], self.sent)
        self.assertEqual(
            "A message 'bad' was not sent: ConnectionError: refused\n",
            self.log.output,
        )

    def test_too_many_are_dropped_and_nobody_waits(self) -> None:
        box = outbox.Outbox(self.send)
        for _ in range(150):
            box.put('one', {})
        self.assertEqual([], self.sent)
        self.assertIn("Dropped a message 'one'", self.log.output)
        self.way_is_free.set()
        self.end(box)
        self.assertIn(len(self.sent), (100, 101))

    def test_nothing_was_sent(self) -> None:
        outbox.Outbox(self.send).close()
