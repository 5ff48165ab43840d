# SPDX-License-Identifier: Apache-2.0
"""Backoff: how pauses grow, and that they are limited."""

import testtools

from pci_passthrough.services import backoff


class BackoffTest(testtools.TestCase):
    def test_pauses_grow_to_the_bound_and_vary(self) -> None:
        pauses = backoff.Backoff(60)
        for bound in (1, 2, 4, 8, 16, 32, 60, 60, 60):
            pause = pauses.failed()
            self.assertTrue(bound / 2 <= pause <= bound, (bound, pause))

    def test_success_starts_again(self) -> None:
        pauses = backoff.Backoff(60)
        for _ in range(2000):
            pauses.failed()
        self.assertEqual(2000, pauses.succeeded())
        self.assertEqual(0, pauses.succeeded())
        self.assertTrue(pauses.failed() <= 1)

    def test_bound_below_the_first_pause(self) -> None:
        self.assertTrue(backoff.Backoff(0.5).failed() <= 0.5)
