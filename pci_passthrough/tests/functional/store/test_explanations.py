# SPDX-License-Identifier: Apache-2.0
"""Explanations: hosts that can serve a PCI flavor, and others."""

from collections.abc import Collection
import dataclasses
from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import claims
from pci_passthrough import store
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.views import explanations
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class ExplainTest(base.ClaimTest):
    def setUp(self) -> None:
        super().setUp()
        self.report('full', [base.gpu(1), base.gpu(2)])
        self.report('good', [base.gpu(1), base.gpu(2), base.gpu(3)])
        self.report('few', [base.gpu(1), *base.family(2, 2)])
        self.report('none', base.family(2, 2))
        self.report('empty', [])
        self.claim('full', base.request('gpu', count=2))

    def explain(
        self,
        name: str,
        count: int = 1,
        hosts: Collection[str] | None = None,
        tracker_timeout: float | None = None,
        with_near_misses: bool = True,
    ) -> claims.Explanation:
        return explanations.explain(
            self.db,
            store.Limits(3600, tracker_timeout),
            lookup.get(self.db, name),
            count,
            hosts,
            with_near_misses,
        )

    def conditions(self, explained: claims.Explanation) -> dict[str, Any]:
        return {
            host.host: (host.condition, host.needed, host.left)
            for host in explained.hosts
        }

    def stop(self, host: str) -> None:
        """Make a host be down."""
        nodes = models.compute_nodes
        with self.db.write() as connection:
            connection.execute(
                nodes.update()
                .where(nodes.c.host == host)
                .values(last_report_at=database.now().replace(year=2000))
            )

    def test_conditions(self) -> None:
        self.stop('none')
        explained = self.explain('gpu', 2)
        self.assertEqual(
            {
                'empty': ('no_match', 2, 0),
                'few': ('too_few', 2, 1),
                'full': ('all_held', 2, 0),
                'good': (None, 2, 3),
                'none': ('host_down', 2, 0),
            },
            self.conditions(explained),
        )
        self.assertEqual(
            sorted(h.host for h in explained.hosts),
            [h.host for h in explained.hosts],
        )
        self.assertEqual(1, explained.serving)
        self.assertEqual(
            [
                ('all_held', 'no free gpu', 1),
                ('host_down', 'has not reported for too long', 1),
                ('no_match', 'no device matches gpu', 1),
                ('too_few', '1 free gpu, 2 needed', 1),
            ],
            [(r.condition, r.text, r.hosts) for r in explained.reasons],
        )
        details = {h.host: h.detail for h in explained.hosts}
        self.assertEqual(
            '10de:2330 type-PCI NUMA 0: 2 claimed', details['full']
        )
        self.assertEqual('10de:2330 type-PCI NUMA 0: 1 free', details['few'])

    def test_trackers(self) -> None:
        trackers.register(self.db, 'good', '1')
        explained = self.explain('gpu', tracker_timeout=3600)
        self.assertEqual(1, explained.serving)
        self.assertEqual(
            [('tracker_down', 4)],
            [(r.condition, r.hosts) for r in explained.reasons],
        )

    def test_named_hosts(self) -> None:
        explained = self.explain('gpu', hosts=['good', 'nowhere', 'a\0b'])
        self.assertEqual(
            {
                'a\0b': ('host_unknown', 1, 0),
                'good': (None, 1, 3),
                'nowhere': ('host_unknown', 1, 0),
            },
            self.conditions(explained),
        )

    def test_kin_that_is_held(self) -> None:
        self.claim('few', base.request('vf'))
        answers = {h.host: h for h in self.explain('pf').hosts}
        self.assertEqual('all_held', answers['few'].condition)
        self.assertIn('1 excluded', answers['few'].detail)
        self.assertTrue(answers['none'].serves)

    def test_near_misses(self) -> None:
        self.report(
            'full',
            [
                base.gpu(1),
                base.gpu(2),
                base.gpu(3, extra_info={'size': 'Big'}),
            ],
        )
        answers = {h.host: h for h in self.explain('big').hosts}
        gpu = '10de:2330 type-PCI NUMA 0'
        self.assertEqual(
            (
                claims.NearMiss(1, gpu, 'e.size', '"big"', 'Big'),
                claims.NearMiss(2, gpu, 'e.size', '"big"', None),
            ),
            answers['full'].near_misses,
        )
        # A NIC fails by its vendor and by the tag.
        self.assertEqual((), answers['none'].near_misses)
        self.assertEqual((), answers['empty'].near_misses)
        explained = self.explain('gpu', 3)
        for host in explained.hosts:
            if host.serves:
                self.assertEqual((), host.near_misses)

    def test_without_near_misses(self) -> None:
        self.report('full', [*map(base.gpu, (1, 2, 3))])
        asked = self.explain('big')
        self.assertTrue(any(h.near_misses for h in asked.hosts))
        spared = self.explain('big', with_near_misses=False)
        self.assertEqual(
            [dataclasses.replace(h, near_misses=()) for h in asked.hosts],
            list(spared.hosts),
        )
        self.assertEqual(
            self._statements('big') - 1,
            self._statements('big', with_near_misses=False),
        )

    def test_as_refusals(self) -> None:
        """The command, the scheduler and the API give the same answer."""
        for name, count in (('gpu', 1), ('gpu', 2), ('vf', 2), ('big', 1)):
            [demand] = resolving.demands(
                self.db, [base.request(name, count=count)]
            )
            refused = explanations.refusals(self.db, base.LIMITS, [demand])
            self.assertEqual(
                [
                    (r.host, r.condition, r.needed, r.left, r.detail)
                    for r in refused
                ],
                [
                    (h.host, h.condition, h.needed, h.left, h.detail)
                    for h in self.explain(name, count).hosts
                    if not h.serves
                ],
            )

    def test_queries_do_not_grow_with_hosts(self) -> None:
        self.explain('gpu')
        counts = []
        for hosts in (0, 20):
            for number in range(hosts):
                self.report(f'more{number}', [base.pf(1)])
            counts.append(self._statements('gpu'))
        self.assertEqual(counts[0], counts[1])

    def _statements(self, name: str, with_near_misses: bool = True) -> int:
        statements: list[str] = []

        def note(connection: Any, cursor: Any, text: str, *args: Any) -> None:
            statements.append(text)

        engines = (self.db.engine, self.db._reading)
        for engine in engines:
            sa.event.listen(engine, 'before_cursor_execute', note)
        self.explain(name, with_near_misses=with_near_misses)
        for engine in engines:
            sa.event.remove(engine, 'before_cursor_execute', note)
        return len(statements)
