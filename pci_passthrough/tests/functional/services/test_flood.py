# SPDX-License-Identifier: Apache-2.0
"""A host that calls conductors far too often, beside one that does not."""

import concurrent.futures
from typing import Any
from typing import ClassVar

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough.store import models
from pci_passthrough.store.devices import reports
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import base as store_base

_FLOODING = 'compute-1'
_NORMAL = 'compute-2'

#: Calls that the conductor executes at the same time.
_THREADS = 4

#: Calls of the flood; none ends before the others have begun.
_CALLS = 12

#: Seconds after which a call that no thread executes is given up.
_SHORT = 3


class FloodTest(base.ServicesTestCase):
    #: counts the transactions that wait for a lock
    WAITING: ClassVar[str] = (
        'SELECT COUNT(*) FROM information_schema.innodb_trx '
        "WHERE trx_state = 'LOCK WAIT'"
    )

    def setUp(self) -> None:
        super().setUp()
        for host in (_FLOODING, _NORMAL):
            reports.apply(self.db, store_base.full_report(host, []))
        self.pool = concurrent.futures.ThreadPoolExecutor(_CALLS)
        self.addCleanup(self.pool.shutdown)

    def test_others_are_answered(self) -> None:
        conductor = self.start(calls_per_host=2)
        with self.flood() as calls:
            conductor.wait_for_log('refusing further calls')
            client = self.client()
            for _ in range(20):
                ack = client.register_tracker(_NORMAL, '1')
                self.assertIsNotNone(ack.generation)
            self.assertFalse([call for call in calls if call.done()])
        # The calls were repeated until they were executed.
        for call in calls:
            self.assertIsNotNone(call.result().generation)

    def test_refused_within_the_timeout(self) -> None:
        self.start(calls_per_host=2)
        with self.flood(2):
            self.wait_for_waiting(2)
            error = self.assertRaises(
                exception.HostBusy,
                self.client(_SHORT).register_tracker,
                _FLOODING,
                '1',
            )
        self.assertEqual((_FLOODING, 2), (error.host, error.most))

    def test_control(self) -> None:
        """Without the limit, one host stops all."""
        self.start(calls_per_host=1000)
        with self.flood():
            self.wait_for_waiting(_THREADS)
            self.assertRaises(
                exception.ConductorUnavailable,
                self.client(_SHORT).register_tracker,
                _NORMAL,
                '1',
            )

    def start(self, calls_per_host: int) -> programs.Program:
        """Start a conductor with few threads."""
        config = self.write_config(
            'controller',
            'conductor',
            {'host_timeout': 3600, 'calls_per_host': calls_per_host},
            (
                '[database]',
                f'connection = {self.database_url}',
                '[DEFAULT]',
                f'executor_thread_pool_size = {_THREADS}',
            ),
        )
        program: programs.Program = self.useFixture(
            programs.Program(['pci-passthrough-conductor'], config)
        )
        program.wait_for_log('is ready')
        return program

    def flood(self, calls: int = _CALLS) -> '_Flood':
        return _Flood(self, calls)

    def wait_for_waiting(self, calls: int) -> None:
        """Return when so many transactions wait for a lock."""

        def are_waiting() -> bool:
            with self.database_server.connect() as connection:
                count = connection.execute(sa.text(self.WAITING)).scalar_one()
            return int(count) >= calls

        # See ``wait_for_blocked``.
        programs.wait_for(are_waiting, f'{calls} waiting calls', pause=0.15)


class PostgreSQLFloodTest(FloodTest):
    DATABASE = servers.PostgreSQL
    WAITING = (
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    )


class _Flood:
    """Calls of a host while nobody can change the host.

    :param test: calls the conductor.
    """

    def __init__(self, test: FloodTest, calls: int) -> None:
        self._test = test
        self._calls = calls

    def __enter__(self) -> list[Any]:
        test = self._test
        self._transaction = test.db.write()
        nodes = models.compute_nodes
        self._transaction.__enter__().execute(
            nodes.update()
            .where(nodes.c.host == _FLOODING)
            .values(revision=nodes.c.revision + 1)
        )
        client = test.client()
        return [
            test.pool.submit(client.register_tracker, _FLOODING, '1')
            for _ in range(self._calls)
        ]

    def __exit__(self, *failure: Any) -> None:
        self._transaction.__exit__(None, None, None)
