# SPDX-License-Identifier: Apache-2.0
"""Turns and results of the periodic audit, on all databases."""

import concurrent.futures

import testscenarios

from pci_passthrough.store import audits
from pci_passthrough.store import database
from pci_passthrough.tests.functional.store import base

_MANY = 8

load_tests = testscenarios.load_tests_apply_scenarios


class AuditsTest(base.StoreTest):
    def last(self) -> audits.Result | None:
        with self.db.read() as connection:
            return audits.last(connection, database.now())

    def turns(self, interval: float) -> list[bool]:
        """Have many conductors ask at the same time."""
        databases = [self.open() for _ in range(_MANY)]
        with concurrent.futures.ThreadPoolExecutor(_MANY) as pool:
            return list(
                pool.map(lambda db: audits.take_turn(db, interval), databases)
            )

    def test_one_of_many_has_the_turn(self) -> None:
        self.assertEqual(1, sum(self.turns(3600)))
        self.assertEqual(0, sum(self.turns(3600)))
        # Who has waited long enough is next.
        self.assertTrue(audits.take_turn(self.db, 0))

    def test_result(self) -> None:
        self.assertIsNone(self.last())
        audits.take_turn(self.db, 3600)
        self.assertIsNone(self.last())
        audits.record(self.db, {'other host': 2})
        audits.record(self.db, {'other host': 1})
        result = self.last()
        assert result is not None
        self.assertEqual({'other host': 1}, result.differences)
        self.assertGreaterEqual(result.age, 0)
