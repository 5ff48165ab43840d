# SPDX-License-Identifier: Apache-2.0
"""The database server dies at each step of a preparation, and comes back.

A device is never handed on uncleaned, and the work goes on.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from typing import Any

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.reporting import preparation
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import reports
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_WRITES = ('UPDATE', 'INSERT', 'DELETE')


class _Outages:
    """Counts the points at which a server can die, and kills it at one.

    The points of a transaction are before each statement that writes, before
    the commit, and after it: then nobody gets to know of the commit.
    """

    def __init__(self, engine: sa.Engine, server: servers.Database) -> None:
        self._server = server
        self._kill_at: int | None = None
        self._is_counting = False
        self.passed: list[str] = []
        sa.event.listen(engine, 'before_cursor_execute', self._on_statement)
        self._commit = engine.dialect.do_commit
        engine.dialect.do_commit = (  # type: ignore[method-assign]
            self._on_commit  # type: ignore[assignment]
        )

    @contextlib.contextmanager
    def during(self, kill_at: int | None) -> Iterator[None]:
        """Count the points of an operation.

        :param kill_at: the number of the point, from 1, at which the server
            is killed and started again; None means at none.
        """
        self.passed, self._kill_at = [], kill_at
        self._is_counting = True
        try:
            yield
        finally:
            self._is_counting = False

    def _on_statement(
        self, connection: Any, cursor: Any, statement: str, *_rest: Any
    ) -> None:
        if statement.startswith(_WRITES):
            self._pass(statement[:40])

    def _on_commit(self, connection: Any) -> None:
        self._pass('before the commit')
        self._commit(connection)
        if self._pass('after the commit'):
            # The answer to the commit is lost with the connection.
            connection.cursor().execute('SELECT 1')

    def _pass(self, name: str) -> bool:
        """Return whether the server was killed at this point."""
        if not self._is_counting:
            return False
        self.passed.append(name)
        if len(self.passed) != self._kill_at:
            return False
        self._server.kill()
        self._server.start()
        return True


class PreparationOutageTest(testtools.TestCase):
    scenarios = base.SERVERS
    server: type[servers.Database]

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=30))
        running = self.useFixture(self.server())
        self.db = store.Writer(running.create_database())
        self.addCleanup(self.db.close)
        schema.sync(self.db)
        editing.create(self.db, 'gpu', None, match=[{'class': 'display'}])
        self.outages = _Outages(self.db.engine, running)
        #: whether the device was cleaned since it came back
        self.is_clean = False
        self.mistakes: list[str] = []
        gpu = base.gpu(1, handlers=['reset'])
        reports.apply(self.db, base.full_report('h', [gpu]))
        self.prepare()

    def device(self) -> objects.PciDevice:
        [device] = lookup.get_all(self.db)
        return device

    def claim(self) -> str | None:
        """Return the instance that gets the device; None if nobody does."""
        owner = base.new_id()
        try:
            claiming.claim(
                self.db,
                base.POLICY,
                claims.ClaimRequest('h', owner, [base.request('gpu')], 'test'),
            )
        except exception.ClaimRefused:
            return None
        return owner

    def free(self, owner: str) -> None:
        transitions.free(self.db, owner, 'test', 'h')

    def prepare(self, kill_at: dict[str, int] | None = None) -> None:
        """Do the work of an agent, until nothing is due."""
        kill_at = kill_at or {}
        while due := preparing.due(self.db, 'h'):
            [todo] = due
            with self.outages.during(kill_at.get('may_prepare')):
                allowed = self.may_prepare(todo)
            self.check_nobody_gets_it()
            if not allowed:
                continue
            self.is_clean = True
            with self.outages.during(kill_at.get('prepared')):
                self.end(todo)

    def may_prepare(self, todo: objects.Preparation) -> bool:
        return preparing.may_prepare(self.db, 'h', todo.address, todo.fence)

    def end(self, todo: objects.Preparation) -> None:
        preparing.prepared(
            self.db,
            base.POLICY.bounds,
            'h',
            todo.address,
            todo.fence,
            True,
            'reset',
        )

    def check_nobody_gets_it(self) -> None:
        if not self.is_clean and self.claim() is not None:
            self.mistakes.append('it was handed on uncleaned')

    def story(
        self,
        free: Callable[[str], None],
        kill_at: dict[str, int],
    ) -> None:
        """Let the device go from one instance to the next."""
        owner = self.claim()
        assert owner is not None
        self.is_clean = False
        with self.outages.during(kill_at.get('free')):
            free(owner)
        self.check_nobody_gets_it()
        if self.mistakes:
            return
        self.prepare(kill_at)
        self.assertTrue(self.is_clean)
        after = self.claim()
        assert after is not None, self.device()
        self.free(after)
        self.prepare()

    def test_killed_at_each_step(self) -> None:
        for step, points in self.count_points().items():
            # At least one statement, and both sides of the commit.
            self.assertGreaterEqual(points, 3, step)
            for number in range(1, points + 1):
                self.story(self.free, {step: number})
                self.assertEqual(
                    [], self.mistakes, f'killed at point {number} of {step}'
                )
        self.assertEqual([], audit.unclean(self.db))
        self.assertEqual([], audit.violations(self.db))

    def count_points(self) -> dict[str, int]:
        """Return the number of points of each step."""
        counts: dict[str, int] = {}
        owner = self.claim()
        assert owner is not None
        with self.outages.during(None):
            self.free(owner)
        counts['free'] = len(self.outages.passed)
        [todo] = preparing.due(self.db, 'h')
        with self.outages.during(None):
            self.may_prepare(todo)
        counts['may_prepare'] = len(self.outages.passed)
        with self.outages.during(None):
            self.end(todo)
        counts['prepared'] = len(self.outages.passed)
        return counts

    def test_control(self) -> None:
        """A return in two transactions is noticed if the server dies between.

        That the device is to be cleaned is recorded in the second one, which
        is not repeated.
        """

        def careless_free(owner: str) -> None:
            with fixtures.MonkeyPatch(
                f'{preparation.__name__}.given_back',
                lambda device, bounds: {'status': 'available'},
            ):
                self.free(owner)
            with contextlib.suppress(Exception):
                once = getattr(operators.move, '__wrapped__')
                once(self.db, str(self.device().uuid), 'clean', '', 'test')

        owner = self.claim()
        assert owner is not None
        with self.outages.during(None):
            careless_free(owner)
        self.prepare()
        after_first = self.outages.passed.index('after the commit') + 2
        self.story(careless_free, {'free': after_first})
        self.assertEqual(['it was handed on uncleaned'], self.mistakes)
