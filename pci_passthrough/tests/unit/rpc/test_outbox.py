# SPDX-License-Identifier: Apache-2.0
"""Messages that nobody waits for."""

from collections.abc import Mapping
import threading
import time
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
        if not self.way_is_free.wait(30):
            raise AssertionError
        if method == 'bad':
            raise ConnectionError('refused\nand more')
        self.sent.append(method)

    def test_in_order_and_what_fails_stops_nothing(self) -> None:
        box = outbox.Outbox(self.send)
        for method in ('one', 'bad', 'two'):
            box.put(method, {})
        self.assertEqual([], self.sent)
        self.way_is_free.set()
        box.close()
        self.assertEqual(['one', 'two'], self.sent)
        self.assertEqual(
            "A message 'bad' was not sent: ConnectionError: refused\n",
            self.log.output,
        )

    def test_too_many_are_dropped_and_nobody_waits(self) -> None:
        box = outbox.Outbox(self.send)
        begin = time.monotonic()
        for _ in range(150):
            box.put('one', {})
        self.assertTrue(time.monotonic() - begin < 1)
        self.assertIn("Dropped a message 'one'", self.log.output)
        self.way_is_free.set()
        box.close()
        self.assertIn(len(self.sent), (100, 101))

    def test_nothing_was_sent(self) -> None:
        outbox.Outbox(self.send).close()
