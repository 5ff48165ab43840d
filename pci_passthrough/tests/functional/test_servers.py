# SPDX-License-Identifier: Apache-2.0
"""Tests of the servers that the functional tests use."""

from collections.abc import Iterator
import contextlib
import ipaddress
import pathlib
import socket
import subprocess
import sys
from typing import Any

import kombu
import psutil
import sqlalchemy as sa
import testscenarios
import testtools

from pci_passthrough.tests.functional import servers

_SHARE_AND_EXIT = """
from pci_passthrough.tests.functional import servers
server = servers.shared(servers.PostgreSQL)
assert servers.shared(servers.PostgreSQL) is server
server.create_database()
print(server.directory)
"""


_Scenario = tuple[str, dict[str, object]]

load_tests = testscenarios.load_tests_apply_scenarios

_MARIADB: _Scenario = (
    'mariadb',
    {
        'kind': servers.MariaDB,
        'program': 'mariadbd',
        'data': 'data',
        'complaint': '/data',
    },
)
_POSTGRESQL: _Scenario = (
    'postgresql',
    {
        'kind': servers.PostgreSQL,
        'program': 'postgres',
        'data': 'data',
        'complaint': '/data',
    },
)
_RABBITMQ: _Scenario = (
    'rabbitmq',
    {
        'kind': servers.RabbitMQ,
        'program': 'rabbitmq-server',
        'data': 'mnesia',
        'complaint': 'failed_to_create',
    },
)


class ServerTest(testtools.TestCase):
    """Tests that are the same for each kind of server."""

    scenarios = [_MARIADB, _POSTGRESQL, _RABBITMQ]
    kind: type[servers.Server]
    program: str
    data: str
    complaint: str

    def setUp(self) -> None:
        super().setUp()
        self.server = self.useFixture(self.kind())

    def test_listens_on_loopback_only(self) -> None:
        listening = [
            connection.laddr
            for process in self.server.processes()
            for connection in _connections(process)
            if connection.status == psutil.CONN_LISTEN
        ]
        self.assertIn((servers.LOOPBACK, self.server.port), listening)
        for address in listening:
            # Only epmd listens on ::1, too.
            loopback = ipaddress.ip_address(address.ip).is_loopback
            self.assertTrue(loopback, listening)

    def test_kill_ends_every_process(self) -> None:
        before = self.server.processes()
        self.assertNotEqual([], before)
        self.server.kill()
        helpers = self.server.processes()
        for process in before:
            if process not in helpers:
                self.assertFalse(_lives(process), process)
        self.assertTrue(_can_bind(self.server.port))

    def test_clean_up_leaves_nothing(self) -> None:
        before = self.server.processes()
        directory = self.server.directory
        self.server.cleanUp()
        # A fixture cannot be cleaned up twice, and the test case does it, too.
        self.server.setUp()
        self.assertEqual([], [p for p in before if _lives(p)])
        self.assertEqual([], _mentioning(str(directory)))
        self.assertFalse(directory.exists())

    def test_server_that_does_not_start(self) -> None:
        self.server.kill()
        data = self.server.directory / self.data
        away = data.rename(self.server.directory / 'away')
        data.touch()
        error = self.assertRaises(servers.ServerError, self.server.start)
        self.assertRegex(
            str(error), rf'{self.program} ended with exit status [1-9]'
        )
        self.assertIn(self.complaint, str(error))
        self.assertIsNone(self.server.pid)
        data.unlink()
        away.rename(data)
        self.server.start()


class DatabaseTest(testtools.TestCase):
    scenarios = [_MARIADB, _POSTGRESQL]
    kind: type[servers.Database]

    def setUp(self) -> None:
        super().setUp()
        self.server = self.useFixture(self.kind())

    def test_committed_row_survives_kill(self) -> None:
        url = self.server.create_database()
        port = self.server.port
        with _transaction(url) as connection:
            connection.execute(sa.text('CREATE TABLE t (a INTEGER)'))
        with _transaction(url) as connection:
            connection.execute(sa.text('INSERT INTO t VALUES (42)'))
        open_work = sa.create_engine(url).connect()
        open_work.execute(sa.text('INSERT INTO t VALUES (43)'))
        self.server.kill()
        self.assertRaises(sa.exc.DBAPIError, _rows, url)
        open_work.invalidate()
        self.server.start()
        self.assertEqual(port, self.server.port)
        self.assertEqual([42], _rows(url))

    def test_committed_row_survives_restart(self) -> None:
        url = self.server.create_database()
        with _transaction(url) as connection:
            connection.execute(sa.text('CREATE TABLE t (a INTEGER)'))
            connection.execute(sa.text('INSERT INTO t VALUES (42)'))
        self.server.restart()
        self.assertEqual([42], _rows(url))

    def test_databases_are_empty_and_separate(self) -> None:
        first = self.server.create_database()
        second = self.server.create_database()
        with _transaction(first) as connection:
            connection.execute(sa.text('CREATE TABLE t (a INTEGER)'))
        self.assertEqual(['t'], _tables(first))
        self.assertEqual([], _tables(second))

    def test_text_is_full_unicode(self) -> None:
        url = self.server.create_database()
        text = 'na\u00efve \U0001f40d'
        with _transaction(url) as connection:
            connection.execute(sa.text('CREATE TABLE t (a VARCHAR(20))'))
            connection.execute(
                sa.text('INSERT INTO t VALUES (:text)'), {'text': text}
            )
        self.assertEqual([text], _rows(url))

    def test_password_is_required(self) -> None:
        url = sa.make_url(self.server.url)
        for user in ('pci', 'root', 'postgres', None):
            stranger = url.set(username=user, password='')
            self.assertRaises(sa.exc.OperationalError, _tables, stranger)


class RabbitMQTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.useFixture(servers.RabbitMQ())

    def test_durable_messages_survive(self) -> None:
        for end in (self.server.kill, self.server.stop):
            with self._queue() as queue:
                queue.put('kept', serializer='json', delivery_mode=2)
            end()
            self.server.start()
            with self._queue() as queue:
                message = queue.get(timeout=servers.START_TIMEOUT)
                self.assertEqual('kept', message.payload)
                message.ack()

    @contextlib.contextmanager
    def _queue(self) -> Iterator[Any]:
        url = self.server.url.replace('rabbit://', 'pyamqp://') + '/'
        options = {'confirm_publish': True}
        with kombu.Connection(url, transport_options=options) as connection:
            with connection.SimpleQueue('durable') as queue:
                yield queue


class SharedTest(testtools.TestCase):
    def test_ends_with_the_process(self) -> None:
        done = subprocess.run(
            [sys.executable, '-c', _SHARE_AND_EXIT],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=servers.START_TIMEOUT,
        )
        directory = done.stdout.strip()
        self.assertFalse(pathlib.Path(directory).exists())
        self.assertEqual([], _mentioning(directory))


@contextlib.contextmanager
def _transaction(url: str | sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def _rows(url: str) -> list[object]:
    with _transaction(url) as connection:
        return list(connection.scalars(sa.text('SELECT a FROM t')))


def _tables(url: str | sa.URL) -> list[str]:
    with _transaction(url) as connection:
        return sa.inspect(connection).get_table_names()


def _can_bind(port: int) -> bool:
    with socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind((servers.LOOPBACK, port))
        except OSError:
            return False
    return True


def _connections(process: psutil.Process) -> list[Any]:
    # Short-lived children may have ended.
    try:
        return process.net_connections('inet')
    except psutil.NoSuchProcess:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mentioning(text: str) -> list[psutil.Process]:
    """Return the processes with a text in their command line."""
    return [
        process
        for process in psutil.process_iter(['cmdline'])
        if any(text in word for word in process.info['cmdline'] or ())
    ]
