# SPDX-License-Identifier: Apache-2.0
"""Concurrent claims of many processes, some of which die."""

import functools
from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base
from pci_passthrough.tests.functional.store import claimer

load_tests = testscenarios.load_tests_apply_scenarios

_PROCESSES = 16


class _FleetTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.hosts = [f'h{n}' for n in range(5)]
        for host in self.hosts:
            self.report(
                host,
                [
                    *map(base.gpu, range(1, 5)),
                    *(
                        base.gpu(n, extra_info={'size': 'big'})
                        for n in range(5, 8)
                    ),
                    *base.family(0x20, 4),
                    *base.family(0x21, 4),
                    *base.family(0x22, 0),
                ],
            )


class TogetherTest(_FleetTest):
    scenarios = base.SERVERS

    def test_until_everything_is_gone(self) -> None:
        errors = claimer.run(
            claimer.take_everything, self.url, _PROCESSES, self.hosts
        )
        self.assertEqual([], errors)
        self.assertEqual([], audit.violations(self.db))
        for host in self.hosts:
            for names, count in claimer.REQUESTS:
                self.assertRaises(
                    exception.ClaimRefused,
                    self.claim,
                    host,
                    base.request(*names, count=count),
                )
        held = [d for d in lookup.get_all(self.db) if d.instance_uuid]
        # All GPUs, and of each NIC the physical or the virtual functions.
        gpus = [d for d in held if d.dev_type == 'type-PCI']
        self.assertEqual(7 * len(self.hosts), len(gpus))

    def test_audit_sees_unsafe_claims(self) -> None:
        errors = claimer.run(
            claimer.take_unsafely, self.url, _PROCESSES, self.hosts[:1]
        )
        self.assertEqual([], errors)
        self.assertIn('claimed twice', '\n'.join(audit.violations(self.db)))


class QuotaTest(base.StoreTest):
    """A project with a limit claims on many hosts at the same time."""

    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.hosts = [f'h{n}' for n in range(10)]
        for host in self.hosts:
            self.report(host, list(map(base.gpu, range(1, 7))))

    def held(self) -> int:
        return len([d for d in lookup.get_all(self.db) if d.instance_uuid])

    def test_50_claims_at_a_limit_of_5(self) -> None:
        errors = claimer.run(
            claimer.take_within_a_limit, self.url, 10, self.hosts
        )
        self.assertEqual([], errors)
        self.assertEqual([], audit.violations(self.db))
        self.assertEqual(claimer.LIMIT, self.held())

    def test_unsafe_claims_exceed_the_limit(self) -> None:
        if self.server is None:
            self.skipTest('SQLite has one writer at a time')
        errors = claimer.run_all(
            [
                functools.partial(claimer.take_without_turns, host)
                for host in self.hosts
            ],
            self.url,
            self.hosts,
        )
        self.assertEqual([], errors)
        self.assertEqual(10, self.held())


class GroupTest(base.StoreTest):
    def test_one_instance_gets_a_group(self) -> None:
        base.create_card_flavors(self.db)
        hosts = [f'h{n}' for n in range(5)]
        for host in hosts:
            self.report(host, base.card(1))
        errors = claimer.run(claimer.take_a_member, self.url, 6, hosts)
        self.assertEqual([], errors)
        self.assertEqual([], audit.violations(self.db))
        held = [d.host for d in lookup.get_all(self.db) if d.instance_uuid]
        self.assertEqual(hosts, held)


class PreparationTest(base.StoreTest):
    """Agents, instances and operators want the same devices."""

    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.hosts = ['h0', 'h1']
        for host in self.hosts:
            self.report(
                host, [base.gpu(n, handlers=['reset']) for n in (1, 2)]
            )

    def first(self) -> objects.Preparation:
        return preparing.due(self.db, 'h0')[0]

    def test_nobody_gets_what_is_not_clean(self) -> None:
        errors = claimer.run_all(
            [
                claimer.prepare,
                *[claimer.take_and_give_back] * 4,
                *[claimer.operate] * 2,
            ],
            self.url,
            self.hosts,
        )
        self.assertEqual([], errors)
        self.assertEqual([], audit.violations(self.db))
        self.assertEqual([], audit.unclean(self.db))
        with self.db.read() as connection:
            actions = set(
                connection.scalars(
                    sa.select(models.pci_device_events.c.action)
                )
            )
        # The processes did meet.
        self.assertLessEqual(
            {'claim', 'free', 'prepared', 'quarantine', 'release', 'clean'},
            actions,
        )

    def test_audit_sees_a_conductor_without_handlers(self) -> None:
        todo = self.first()
        with self.db.write() as connection:
            connection.execute(
                models.pci_devices.update()
                .where(models.pci_devices.c.address == todo.address)
                .values(status='available')
            )
        self.claim('h0', base.request('gpu'))
        self.assertEqual(
            [f'h0/{todo.address} was claimed unclean'], audit.unclean(self.db)
        )

    def test_agent_that_does_not_ask_is_seen(self) -> None:
        todo = self.first()
        name = f'h0/{todo.address}'
        operators.act(self.db, name, 'quarantine', 'odd', 'op')
        operators.act(self.db, name, 'release', 'erased', 'op')
        self.claim('h0', base.request('gpu'))
        self.assertRaises(
            AssertionError, claimer.work_at, self.db, 'h0', todo.address
        )


class KilledTest(_FleetTest):
    def test_killed_before_commit(self) -> None:
        before = lookup.get_all(self.db)
        errors = claimer.run(
            claimer.die_before_commit, self.url, 1, self.hosts
        )
        self.assertEqual(['exit status -9'], errors)
        self.assertEqual(before, lookup.get_all(self.db))
        for device in lookup.get_all(self.db, 'h0'):
            (event,) = ledger.history(self.db, device.uuid)
            self.assertEqual('appear', event.action)
        self.assertEqual(
            7, len(self.claim('h0', base.request('gpu', count=7)))
        )
        self.assertEqual([], audit.violations(self.db))


class WritersTest(base.StoreTest):
    """A transaction on SQLite that reads first must be able to write."""

    scenarios = [s for s in base.SCENARIOS if s[0] == 'sqlite']

    def test_lock_is_taken_at_the_beginning(self) -> None:
        statements: list[str] = []

        @sa.event.listens_for(self.db.engine, 'before_cursor_execute')
        def _note(connection: Any, cursor: Any, text: str, *args: Any) -> None:
            statements.append(text)

        for _ in range(2):
            with self.db.write() as connection:
                connection.execute(sa.text('SELECT 1'))
        self.assertEqual(['BEGIN IMMEDIATE', 'SELECT 1'] * 2, statements)
