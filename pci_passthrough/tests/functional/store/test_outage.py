# SPDX-License-Identifier: Apache-2.0
"""Claims while the database stops and starts again."""

from collections.abc import Iterator
from concurrent import futures
import contextlib
import queue
import threading

import testscenarios
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.store import hosts
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import reports
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


#: Creates a user as an operator does. Administrators can always write.
_RESTRICTED: dict[type[servers.Database], list[str]] = {
    servers.MariaDB: [
        "CREATE USER conductor IDENTIFIED BY '{password}'",
        'GRANT ALL ON {name}.* TO conductor',
    ],
    servers.PostgreSQL: [
        "CREATE USER conductor SUPERUSER PASSWORD '{password}'",
    ],
}

_READ_ONLY: dict[type[servers.Database], list[str]] = {
    servers.MariaDB: ['SET GLOBAL read_only = {state}'],
    servers.PostgreSQL: [
        'ALTER USER conductor SET default_transaction_read_only = {state}',
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
        "WHERE usename = 'conductor'",
    ],
}


class OutageTest(testtools.TestCase):
    scenarios = base.SERVERS
    server: type[servers.Database]

    def setUp(self) -> None:
        super().setUp()
        self.running = self.useFixture(self.server())
        self.db = store.Writer(self.running.create_database())
        self.addCleanup(self.db.close)
        schema.sync(self.db)
        editing.create(self.db, 'gpu', None, match=[{'class': 'display'}])
        for host in 'abcd':
            fleet = [base.gpu(n) for n in range(1, 9)]
            reports.apply(self.db, base.full_report(host, fleet))
        self.stopped = threading.Event()
        #: gets a host's name each time that something was claimed there
        self.turns: queue.SimpleQueue[str] = queue.SimpleQueue()

    def test_killed_and_started_again(self) -> None:
        with futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(self._work, host) for host in 'abcd']
            try:
                for _ in range(2):
                    self._wait_for_turns()
                    self.running.kill()
                    self.running.start()
                self._wait_for_turns()
            finally:
                self.stopped.set()
        expected: dict[str, set[str]] = {}
        for future in running:
            expected |= future.result()
        held: dict[str, set[str]] = {}
        for device in lookup.get_all(self.db):
            if device.instance_uuid:
                owner = str(device.instance_uuid)
                held.setdefault(owner, set()).add(device.uuid)
        self.assertEqual(expected, held)
        self.assertEqual([], audit.violations(self.db))

    def _wait_for_turns(self) -> None:
        """Return when each host's worker has claimed something."""
        missing = set('abcd')
        while missing:
            missing.discard(self.turns.get(timeout=servers.START_TIMEOUT))

    def test_away_for_long(self) -> None:
        self.running.kill()
        calls = [
            lambda: hosts.get_all(self.db, base.TRACKED),
            lambda: self._claim('a', base.new_id(), base.new_id()),
            lambda: transitions.free(self.db, base.new_id(), 'test', 'a'),
        ]
        with futures.ThreadPoolExecutor(len(calls)) as pool:
            for future in [pool.submit(call) for call in calls]:
                error = future.exception()
                self.assertIsInstance(error, exception.Unavailable)
                self.assertIn('database', str(error))

    def test_read_only_for_a_while(self) -> None:
        """As the former primary of a failover, or a replica of one."""
        db = store.Writer(self._restricted())
        self.addCleanup(db.close)
        owner, request_id = base.new_id(), base.new_id()
        with self._read_only():
            error = self.assertRaises(
                exception.DatabaseUnavailable,
                self._claim, 'a', owner, request_id, db,
            )  # fmt: skip
            self.assertIn('read', str(error).lower())
            self.assertEqual(4, len(hosts.get_all(db, base.TRACKED)))
        self.assertEqual(2, len(self._claim('a', owner, request_id, db)))

    def _restricted(self) -> str:
        """Return the URL for a user whom a read-only server refuses."""
        url = self.db.engine.url
        with self.running.connect() as connection:
            for statement in _RESTRICTED[self.server]:
                connection.exec_driver_sql(
                    statement.format(password=url.password, name=url.database)
                )
        return url.set(username='conductor').render_as_string(False)

    @contextlib.contextmanager
    def _read_only(self) -> Iterator[None]:
        for state in ('on', 'off'):
            with self.running.connect() as connection:
                for statement in _READ_ONLY[self.server]:
                    connection.exec_driver_sql(statement.format(state=state))
            if state == 'on':
                yield

    def _claim(
        self,
        host: str,
        owner: str,
        request_id: str,
        db: store.Writer | None = None,
    ) -> set[str]:
        request = base.request('gpu', count=2, request_id=request_id)
        claimed = claiming.claim(
            db or self.db,
            base.POLICY,
            claims.ClaimRequest(host, owner, [request], 'test'),
        )
        return {device.uuid for device in claimed}

    def _work(self, host: str) -> dict[str, set[str]]:
        """Claim and free until the test stops it; return what is held then."""
        held: dict[str, set[str]] = {}
        while not self.stopped.is_set():
            owner, request_id = base.new_id(), base.new_id()
            held[owner] = self._claim(host, owner, request_id)
            # Whoever got no answer asks again.
            again = self._claim(host, owner, request_id)
            assert held[owner] == again, (held[owner], again)
            self.turns.put(host)
            if len(held) == 4:
                for oldest in list(held)[:2]:
                    freed = transitions.free(self.db, oldest, 'test', host)
                    # Nothing, if the first try's answer was lost.
                    assert {d.uuid for d in freed} in (held[oldest], set())
                    del held[oldest]
        return held
