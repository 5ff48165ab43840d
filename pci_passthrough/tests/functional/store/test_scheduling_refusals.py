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
        return [str(refusal.summary) for refusal in self.page(10000)]

    def page(
        self, days: float = 7, **filters: Any
    ) -> list[objects.SchedulingRefusal]:
        """Return all refusals that a filter leaves, newest first."""
        return scheduling_refusals.page(
            self.db, days, scheduling_refusals.Filter(**filters)
        )

    def test_kept_and_found(self) -> None:
        other = base.new_id()
        self.add()
        self.add(instance_uuid=other, summary='other')
        [refusal] = self.page(instance_uuid=self.owner)
        self.assertEqual('10g:2', refusal.requests)
        self.assertEqual('2 hosts: no free 10g', refusal.summary)
        self.assertEqual([['no free 10g', 2, ['h1', 'h2']]], refusal.reasons)
        self.assertIsNotNone(refusal.created_at)
        # What a scheduler of an earlier release does not say.
        for name in ('conditions', 'pci_flavors', 'project_id', 'passed'):
            self.assertFalse(refusal.obj_attr_is_set(name))
        self.assertEqual(['other', '2 hosts: no free 10g'], self.kept())
        self.assertEqual([], self.page(instance_uuid=base.new_id()))

    def test_filters(self) -> None:
        known: dict[str, Any] = {'conditions': ['none_free'], 'passed': 0}
        self.add(summary='older release')
        for name, project, passed in (
            ('Gpu', 'red', 0), ('gpu', 'red', 1), ('"gpu', 'blue', 0),
            ('gp%', None, 0),
        ):  # fmt: skip
            self.add(
                **known
                | {
                    'instance_uuid': base.new_id(),
                    'summary': name,
                    'pci_flavors': [name],
                    'project_id': project,
                    'passed': passed,
                }
            )
        for filters, summaries in (
            ({'pci_flavor': 'gpu'}, ['gpu']),
            ({'pci_flavor': '"gpu'}, ['"gpu']),
            ({'pci_flavor': 'gp%'}, ['gp%']),
            ({'pci_flavor': 'g'}, []),
            ({'project_id': 'red'}, ['gpu', 'Gpu']),
            ({'project_id': 'red', 'unserved': True}, ['Gpu']),
            ({'project_id': ''}, []),
            ({'project_id': 'r\0d'}, []),
            ({'unserved': True}, ['gp%', '"gpu', 'Gpu']),
            ({'instance_uuid': 'x\0'}, []),
        ):
            page = self.page(**filters)
            self.assertEqual(summaries, [str(r.summary) for r in page])
        [refusal] = self.page(pci_flavor='gpu')
        self.assertEqual(
            (['none_free'], ['gpu'], 'red', 1),
            (
                refusal.conditions,
                refusal.pci_flavors,
                refusal.project_id,
                refusal.passed,
            ),
        )

    def test_since(self) -> None:
        self.add(summary='old')
        self.age(1)
        self.add(instance_uuid=base.new_id(), summary='new')
        new, old = self.page()
        for refusal, summaries in ((old, ['new', 'old']), (new, ['new'])):
            at = refusal.created_at
            page = self.page(since=at and at.replace(tzinfo=None))
            self.assertEqual(summaries, [str(r.summary) for r in page])

    def test_pages(self) -> None:
        for number in range(5):
            self.add(summary=f'{number}')
        # Many at the same moment are in the order of their instances.
        with self.db.write() as connection:
            for row in connection.execute(_refusals.select()).all():
                connection.execute(
                    _refusals.update()
                    .where(_refusals.c.id == row.id)
                    .values(
                        created_at=row.created_at.replace(microsecond=0),
                        instance_uuid=base.new_id(),
                    )
                )
        whole = [r.instance_uuid for r in self.page()]
        paged: list[str] = []
        marker = None
        for length in (2, 2, 1, 0):
            page = scheduling_refusals.page(
                self.db, 7, scheduling_refusals.Filter(), marker, 2
            )
            self.assertEqual(length, len(page))
            if page:
                marker = scheduling_refusals.marker_of(page[-1])
                paged += [str(r.instance_uuid) for r in page]
        self.assertEqual(whole, paged)

    def test_wrong_marker(self) -> None:
        for wrong in ('', 'x', f'2026-01-01/{"x" * 36}', f'x/{self.owner}'):
            self.assertRaises(
                exception.Invalid,
                scheduling_refusals.page,
                *(self.db, 7, scheduling_refusals.Filter(), wrong),
            )

    def test_only_the_newest_of_an_instance(self) -> None:
        other = base.new_id()
        self.add(instance_uuid=other, summary='other')
        for number in range(12):
            self.add(summary=f'{number}')
        self.assertEqual(
            [*(f'{number}' for number in range(11, 1, -1)), 'other'],
            self.kept(),
        )

    def test_old_ones_are_neither_shown_nor_kept(self) -> None:
        self.add(summary='old')
        self.age(8)
        self.assertEqual([], self.page())
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
            conditions=[*(['numa'] * 60), 'x' * 300],
            pci_flavors=[*(f'f{n}' for n in range(60)), '\0'],
        )
        [refusal] = self.page()
        self.assertEqual(2000, len(refusal.requests))
        odd = '\N{REPLACEMENT CHARACTER}'
        self.assertEqual(f'a{odd}b{odd}c', refusal.summary)
        self.assertEqual(20, len(refusal.reasons))
        self.assertEqual(['y' * 297 + '...', 100, []], refusal.reasons[0])
        hosts = ['h' * 252 + '...'] * 20
        self.assertEqual(['reason 59', 59, hosts], refusal.reasons[1])
        self.assertEqual(
            ['x' * 252 + '...', *['numa'] * 19], refusal.conditions
        )
        self.assertEqual([odd, 'f59', 'f58'], refusal.pci_flavors[:3])
        # All of them would not fit.
        self.assertEqual(['reason 41', 41, []], refusal.reasons[-1])

    def test_letters_that_take_many_bytes(self) -> None:
        self.add(reasons=[['✓' * 500, 1, ['✓' * 255] * 20]] * 30)
        [refusal] = self.page()
        self.assertEqual(20, len(refusal.reasons))

    def test_whose(self) -> None:
        for wrong in ('x', base.new_id().upper()):
            self.assertRaises(
                exception.InvalidRequest, self.add, instance_uuid=wrong
            )
