# SPDX-License-Identifier: Apache-2.0
"""Tests of counting devices for metrics, and of what a scrape makes of it."""

from collections.abc import Iterable
import datetime
import threading
from typing import Any

import prometheus_client
from prometheus_client import parser
from prometheus_client import registry
import sqlalchemy as sa
import testscenarios
import testtools

from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.objects import fields
from pci_passthrough.services import metrics_census
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.claims import repairs
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.views import census
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class CensusTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.flavors()

    def report(
        self, host: str, offered: Iterable[objects.PciDevice], **changes: Any
    ) -> objects.ReportAck:
        """Apply a full report, and register the host's tracker."""
        ack = super().report(host, offered, **changes)
        trackers.register(self.db, host, '1')
        return ack

    def count(self, host: str) -> dict[tuple[str, int | None], dict[str, int]]:
        """Return the states of a host by PCI flavor and NUMA node."""
        taken = census.take(self.db, base.TRACKED)
        return {
            (group.pci_flavor, group.numa_node): dict(states)
            for group, states in taken.devices.items()
            if group.host == host
        }

    def test_unserved_requests(self) -> None:
        self.assertEqual(
            set(base.FLAVORS), set(census.take(self.db, base.TRACKED).unserved)
        )
        for names, passed in (
            (['gpu', 'gpu', 'nic'], 0),
            (['gpu', 'deleted', ''], 0),
            (['gpu'], 1),
            (None, 0),
        ):
            refusal = objects.SchedulingRefusal(
                instance_uuid=base.new_id(),
                requests='',
                summary='',
                reasons=[['no free gpu', 1, []]] * len(names or ()),
                passed=passed,
                created_at=None,
            )
            if names is not None:
                refusal.pci_flavors = names
            scheduling_refusals.add(self.db, refusal, 7)
        unserved = census.take(self.db, base.TRACKED).unserved
        self.assertEqual(
            {'gpu': 2, 'nic': 1},
            {name: count for name, count in unserved.items() if count},
        )
        with self.db.write() as connection:
            connection.execute(
                models.scheduling_refusals.update().values(
                    created_at=database.now() - datetime.timedelta(hours=2)
                )
            )
        unserved = census.take(self.db, base.TRACKED).unserved
        self.assertEqual({0}, set(unserved.values()))

    def events(self) -> dict[str, float]:
        """Return the metric of the events that are not zero, by action."""
        collector = metrics_census.CensusCollector()
        collector.use(self.db, base.TRACKED)
        [family] = [
            family
            for family in collector.collect()
            if family.name == 'pci_passthrough_device_events'
        ]
        counts = {s.labels['action']: s.value for s in family.samples}
        self.assertGreaterEqual(counts.keys(), set(fields.Repair.ALL))
        return {action: count for action, count in counts.items() if count}

    def test_events_of_the_last_hour(self) -> None:
        self.assertEqual({}, self.events())
        self.report('a', [base.gpu(1), base.gpu(2)])
        [held] = self.claim('a', base.request('gpu'))
        withdrawn = {base.gpu(1).address, base.gpu(2).address}
        self.report('a', [], withdrawn=sorted(withdrawn))
        repairs.note(
            self.db,
            'a',
            str(held.instance_uuid),
            [held.address],
            fields.Repair.END,
            'test',
        )
        self.assertEqual(
            {
                'appear': 2,
                'claim': 1,
                'withdraw': 1,
                'remove': 1,
                'repair-end': 1,
            },
            self.events(),
        )
        [*_, last, _] = ledger.history(self.db, str(held.uuid))
        self.assertEqual(
            'the PCI information of the host does not offer it any more',
            last.reason,
        )
        with self.db.write() as connection:
            connection.execute(
                models.pci_device_events.update().values(
                    created_at=database.now() - datetime.timedelta(hours=2)
                )
            )
        self.assertEqual({}, self.events())

    def test_each_device_is_in_one_state(self) -> None:
        self.report('a', [base.gpu(bus) for bus in range(1, 8)])
        owner = base.new_id()
        self.claim('a', base.request('gpu', count=2), instance_uuid=owner)
        held = lookup.get_all(self.db, instance_uuid=owner)
        gone = held[0].address
        free = [a for a, s in self.states().items() if s == 'available']
        operators.disable(self.db, f'a/{free[0]}', 'loud', 'test')
        operators.disable(self.db, f'a/{held[1].address}', 'loud', 'test')
        operators.move(self.db, f'a/{free[1]}', 'quarantine', 'dirty', 'test')
        with self.db.write() as connection:
            connection.execute(
                models.pci_devices.update()
                .where(models.pci_devices.c.address == free[2])
                .values(status='cleaning')
            )
        offered = [base.gpu(bus) for bus in range(1, 8)]
        self.report('a', [gpu for gpu in offered if gpu.address != gone])
        self.assertEqual(
            {
                ('gpu', 0): {
                    'held': 1,
                    'missing': 1,
                    'disabled': 1,
                    'quarantined': 1,
                    'cleaning': 1,
                    'free': 2,
                }
            },
            self.count('a'),
        )

    def test_what_is_free_is_what_pools_have(self) -> None:
        self.report('a', [*base.family(1, 4), *base.family(2, 4)])
        self.claim('a', base.request('vf'))
        self.claim('a', base.request('pf'))
        counts = self.count('a')
        self.assertEqual({'held': 1, 'excluded': 1}, counts['pf', 0])
        self.assertEqual(
            {'held': 1, 'free': 3, 'excluded': 4}, counts['vf', 0]
        )
        pools = store.PciDevicePoolList.get_all(self.db, base.LIMITS)
        self.assertEqual(
            sum(pool.count for pool in pools), counts['nic', 0]['free']
        )

    def test_pci_flavors_and_numa_nodes(self) -> None:
        self.report(
            'a',
            [
                base.gpu(1, extra_info={'size': 'big'}),
                base.gpu(2, numa_node=1),
                base.gpu(3, numa_node=None),
                base.gpu(4, vendor_id='1002'),
            ],
        )
        self.report('b', [base.gpu(1)])
        one_free = {'free': 1}
        self.assertEqual(
            {
                ('gpu', 0): one_free,
                ('big', 0): one_free,
                ('gpu', 1): one_free,
                ('gpu', None): one_free,
                ('', 0): one_free,
            },
            self.count('a'),
        )
        self.assertEqual({('gpu', 0): one_free}, self.count('b'))

    def test_signs_of_life(self) -> None:
        for host in ('a', 'b'):
            self.report(host, [])
        super().report('c', [])
        nodes = models.compute_nodes
        with self.db.write() as connection:
            connection.execute(
                nodes.update()
                .where(nodes.c.host == 'b')
                .values(
                    last_report_at=hosts.cutoff(10000),
                    tracker_seen_at=hosts.cutoff(20000),
                )
            )
        a, b, c = census.take(self.db, base.TRACKED).hosts
        self.assertEqual((True, True), (a.is_up, a.tracker_is_up))
        self.assertEqual((False, False), (b.is_up, b.tracker_is_up))
        self.assertEqual((True, False), (c.is_up, c.tracker_is_up))
        assert b.tracker_age is not None
        self.assertTrue(10000 <= b.report_age < b.tracker_age - 9000)
        self.assertIsNone(c.tracker_age)

    def test_nothing_is_free_where_nova_cannot_give_it(self) -> None:
        devices = [base.gpu(1), base.gpu(2), base.gpu(3)]
        super().report('never', devices)
        self.report('silent', devices)
        for host in ('never', 'silent'):
            self.claim(host, base.request('gpu'))
            operators.disable(self.db, f'{host}/0000:03:00.0', 'loud', 'test')
        self.make_silent('silent')
        for host in ('never', 'silent'):
            self.assertEqual(
                {
                    ('gpu', 0): {
                        'held': 1,
                        'disabled': 1,
                        'unreachable': 1,
                    }
                },
                self.count(host),
            )

    def test_as_many_statements_for_many_hosts_as_for_one(self) -> None:
        self.report('a', [base.gpu(1)])
        few = self._statements()
        for number in range(20):
            self.report(f'b{number}', [base.gpu(1), *base.family(2, 2)])
        self.assertEqual(few, self._statements())

    def _statements(self) -> int:
        # The pool keys are loaded once.
        census.take(self.db, base.TRACKED)
        statements: list[str] = []

        def note(connection: Any, cursor: Any, text: str, *_: Any) -> None:
            statements.append(text)

        engines = (self.db.engine, self.db._reading)
        for engine in engines:
            sa.event.listen(engine, 'before_cursor_execute', note)
        census.take(self.db, base.TRACKED)
        for engine in engines:
            sa.event.remove(engine, 'before_cursor_execute', note)
        return len(statements)


class ScrapeTest(base.StoreTest):
    scenarios = [('sqlite', {'server': None})]

    def setUp(self) -> None:
        super().setUp()
        self.collector = metrics_census.CensusCollector()
        self.registry = registry.CollectorRegistry()
        self.registry.register(self.collector)

    def scrape(self) -> list[str]:
        text = prometheus_client.generate_latest(self.registry).decode()
        return [line for line in text.splitlines() if line[0] != '#']

    def test_labels(self) -> None:
        self.flavors()
        odd = 'a "name"\\'
        self.report('compute-1', [base.gpu(1, numa_node=None)])
        operators.disable(self.db, 'compute-1/0000:01:00.0', 'loud', 'test')
        self.report(odd, [base.gpu(1, vendor_id='1002')])
        trackers.register(self.db, odd, '1')
        self.collector.use(self.db, base.TRACKED)
        lines = self.scrape()
        gpus = (
            'pci_passthrough_devices{host="compute-1",numa_node="",'
            'pci_flavor="gpu",resource_type="pci",'
        )
        for line in (
            'pci_passthrough_database_up 1.0',
            gpus + 'state="free"} 0.0',
            gpus + 'state="held"} 0.0',
            gpus + 'state="disabled"} 1.0',
            # Its tracker has never registered: that is no missing series.
            'pci_passthrough_host_tracker_up{host="compute-1"} 0.0',
        ):
            self.assertIn(line, lines)
        text = prometheus_client.generate_latest(self.registry).decode()
        samples = [
            sample
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        ]
        [free] = [
            sample.value
            for sample in samples
            if sample.labels.get('host') == odd
            and sample.labels.get('state') == 'free'
        ]
        self.assertEqual(1, free)

    def test_without_a_database(self) -> None:
        self.assertEqual(['pci_passthrough_database_up 0.0'], self.scrape())

    def test_database_that_has_no_schema(self) -> None:
        empty = store.Writer(self.url + '.empty')
        self.addCleanup(empty.close)
        self.collector.use(empty, base.TRACKED)
        self.assertEqual(['pci_passthrough_database_up 0.0'], self.scrape())


class SilentDatabaseTest(testtools.TestCase):
    def test_scrapes_end_and_threads_do_not_pile_up(self) -> None:
        server = servers.shared(servers.MariaDB)
        db = store.Writer(server.create_database())
        self.addCleanup(db.close)
        collector = metrics_census.CensusCollector(timeout=0.1)
        collector.use(db, base.TRACKED)

        def threads() -> int:
            names = [thread.name for thread in threading.enumerate()]
            return names.count(metrics_census.THREAD)

        processes = server.processes()
        for process in processes:
            process.suspend()
            self.addCleanup(process.resume)
        for _ in range(3):
            [up] = collector.collect()
            self.assertEqual([0.0], [sample.value for sample in up.samples])
        self.assertEqual(1, threads())
