# SPDX-License-Identifier: Apache-2.0
"""Refusals of the scheduler: what is stored, and for how long."""

import datetime
from typing import Any

import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import models
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_refusals = models.scheduling_refusals


class RefusalTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.owner = base.new_id()

    def add(self, days: float = 7, **changes: Any) -> None:
        facts: dict[str, Any] = {
            'instance_uuid': self.owner,
            'requests': '10g:2',
            'summary': '2 hosts: no free 10g',
            'reasons': [['no free 10g', 2, ['h1', 'h2']]],
            'created_at': None,
        }
        scheduling_refusals.add(
            self.db, objects.SchedulingRefusal(**facts | changes), days
        )

    def age(self, days: float) -> None:
        """Make all refusals older."""
        with self.db.write() as connection:
            rows = connection.execute(_refusals.select()).all()
            for row in rows:
                connection.execute(
                    _refusals.update()
                    .where(_refusals.c.id == row.id)
                    .values(
                        created_at=row.created_at
                        - datetime.timedelta(days=days)
                    )
                )

    def kept(self) -> list[str]:
        stored = scheduling_refusals.get_all(self.db, 10000)
        return [str(refusal.summary) for refusal in stored]

    def test_kept_and_found(self) -> None:
        other = base.new_id()
        self.add()
        self.add(instance_uuid=other, summary='other')
        [refusal] = scheduling_refusals.get_all(self.db, 7, self.owner)
        self.assertEqual('10g:2', refusal.requests)
        self.assertEqual('2 hosts: no free 10g', refusal.summary)
        self.assertEqual([['no free 10g', 2, ['h1', 'h2']]], refusal.reasons)
        self.assertIsNotNone(refusal.created_at)
        self.assertEqual(['2 hosts: no free 10g', 'other'], self.kept())
        self.assertEqual(
            ['other'],
            [
                r.summary
                for r in scheduling_refusals.get_all(self.db, 7, limit=1)
            ],
        )
        self.assertEqual(
            [], scheduling_refusals.get_all(self.db, 7, base.new_id())
        )

    def test_only_the_newest_of_an_instance(self) -> None:
        other = base.new_id()
        self.add(instance_uuid=other, summary='other')
        for number in range(12):
            self.add(summary=f'{number}')
        self.assertEqual(
            ['other', *(f'{number}' for number in range(2, 12))], self.kept()
        )

    def test_old_ones_are_neither_shown_nor_kept(self) -> None:
        self.add(summary='old')
        self.age(8)
        self.assertEqual([], scheduling_refusals.get_all(self.db, 7))
        self.add(instance_uuid=base.new_id(), summary='new')
        self.assertEqual(['new'], self.kept())

    def test_none_is_kept(self) -> None:
        self.add()
        self.add(days=0)
        self.assertEqual([], self.kept())

    def test_what_is_too_much_is_cut(self) -> None:
        self.add(
            requests='x' * 5000,
            summary='a\0b\nc',
            reasons=[
                *([f'reason {n}', n, ['h' * 300] * 30] for n in range(60)),
                ['y' * 600, 100, []],
            ],
        )
        [refusal] = scheduling_refusals.get_all(self.db, 7)
        self.assertEqual(2000, len(refusal.requests))
        odd = '\N{REPLACEMENT CHARACTER}'
        self.assertEqual(f'a{odd}b{odd}c', refusal.summary)
        self.assertEqual(20, len(refusal.reasons))
        self.assertEqual(['y' * 297 + '...', 100, []], refusal.reasons[0])
        hosts = ['h' * 252 + '...'] * 20
        self.assertEqual(['reason 59', 59, hosts], refusal.reasons[1])
        # All of them would not fit.
        self.assertEqual(['reason 41', 41, []], refusal.reasons[-1])

    def test_letters_that_take_many_bytes(self) -> None:
        self.add(reasons=[['✓' * 500, 1, ['✓' * 255] * 20]] * 30)
        [refusal] = scheduling_refusals.get_all(self.db, 7)
        self.assertEqual(20, len(refusal.reasons))

    def test_whose(self) -> None:
        for wrong in ('x', base.new_id().upper()):
            self.assertRaises(
                exception.InvalidRequest, self.add, instance_uuid=wrong
            )
