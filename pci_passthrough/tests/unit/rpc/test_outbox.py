# SPDX-License-Identifier: Apache-2.0
"""Outbox: the order of messages, failures and a full queue."""

import threading

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

    def send(self, name: str) -> None:
        self.way_is_free.wait()
        if name == 'bad':
            raise ConnectionError('refused\nand more')
        self.sent.append(name)

    def end(self, box: outbox.Outbox) -> None:
        """Close it, and wait longer than it does itself."""
        assert box._thread is not None
        box.close()
        box._thread.join()

    def put(self, box: outbox.Outbox, name: str) -> None:
        box.put(name, lambda: self.send(name))

    def test_in_order_and_a_failure_stops_nothing(self) -> None:
        box = outbox.Outbox()
        for name in ('one', 'bad', 'two'):
            self.put(box, name)
        self.assertEqual([], self.sent)
        self.way_is_free.set()
        self.end(box)
        self.assertEqual(['one', 'two'], self.sent)
        self.assertEqual(
            "Message 'bad' was not delivered: ConnectionError: refused\n",
            self.log.output,
        )

    def test_too_many_are_dropped_and_nobody_waits(self) -> None:
        box = outbox.Outbox()
        for _ in range(150):
            self.put(box, 'one')
        self.assertEqual([], self.sent)
        self.assertIn("Dropped a message 'one'", self.log.output)
        self.way_is_free.set()
        self.end(box)
        self.assertIn(len(self.sent), (100, 101))

    def test_nothing_was_sent(self) -> None:
        outbox.Outbox().close()
