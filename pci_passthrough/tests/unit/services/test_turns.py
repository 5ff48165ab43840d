# SPDX-License-Identifier: Apache-2.0
"""One thread at a time."""

import testtools

from pci_passthrough.services import turns


class TurnsTest(testtools.TestCase):
    def test_one_at_a_time_for_each_place(self) -> None:
        all_turns = turns.Turns()
        self.assertTrue(all_turns.begin('a'))
        self.assertFalse(all_turns.begin('a'))
        self.assertTrue(all_turns.begin('b'))
        all_turns.end('a')
        self.assertTrue(all_turns.begin('a'))
