# SPDX-License-Identifier: Apache-2.0
"""Real database and message servers, owned by the tests that use them.

Each fixture runs one server of its own: on a free port of 127.0.0.1, never
reachable from another machine, with a data directory that lives as long as
the fixture. A test may kill the server at any moment and start it again on
the same port with the same data, which is the point of having it.

pifpaf does nearly this, but not what is needed here: its RabbitMQ takes
Erlang connections on all interfaces and leaves epmd behind, its PostgreSQL
refuses to work when the tests run as root, and neither of its servers can be
killed and started again where it was.

Durability is never relaxed: the tests kill servers and check that nothing
committed is lost, so every server keeps its default fsync behaviour. Only
memory is trimmed.
"""

import abc
import atexit
import collections
from collections.abc import Iterator
import contextlib
import functools
import glob
import os
import pathlib
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from typing import Any
from typing import Final
from typing import TypeVar

import fixtures
import psutil
import sqlalchemy as sa

LOOPBACK: Final = '127.0.0.1'

#: Seconds until a start is given up. RabbitMQ needs about 5 on a quiet
#: machine, and several times that on a busy one.
START_TIMEOUT: Final = 120.0

#: Seconds that a server has to end when asked politely.
STOP_TIMEOUT: Final = 30.0

# Below the range that the kernel gives to outgoing connections (from 32768),
# one of which could otherwise sit on the port while the server is dead.
_PORTS: Final = range(20000, 32000)

# Taken at import: a test may move tempfile's default into a directory of its
# own, which ends with the test and which other users cannot enter.
_TMP: Final = tempfile.gettempdir()

_LOG_TAIL: Final = 30

_S = TypeVar('_S', bound='Server')


class ServerError(Exception):
    """A server, or a program that prepares one, did not do its work."""


class Port(fixtures.Fixture):
    """A TCP port of the loopback address, reserved among our processes.

    The reservation is a UDP socket on the same number: unlike a probed TCP
    port it stays taken while the server is down, unlike a lock file it
    vanishes with the process, and no server here uses UDP.
    """

    number: int

    def _setUp(self) -> None:
        for number in random.sample(_PORTS, 200):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind((LOOPBACK, number))
                with socket.socket() as tcp:
                    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tcp.bind((LOOPBACK, number))
            except OSError:
                udp.close()
                continue
            self.addCleanup(udp.close)
            self.number = number
            return
        raise ServerError(f'no free port on {LOOPBACK}')


class Server(fixtures.Fixture, metaclass=abc.ABCMeta):
    """One server process with its port and its data directory.

    After the fixture is set up the server answers. Cleaning up kills it and
    whatever it started, and removes the directory.
    """

    #: The signal after which the server ends by itself, soon and in order.
    stop_signal: signal.Signals = signal.SIGTERM

    def _setUp(self) -> None:
        self.password = secrets.token_hex(16)
        self.port = self.useFixture(Port()).number
        self.directory = pathlib.Path(
            tempfile.mkdtemp(prefix='pci-passthrough-', dir=_TMP)
        )
        self.addCleanup(shutil.rmtree, self.directory)
        self.log = self.directory / 'log'
        self.log.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []
        self.addCleanup(self._kill_helpers)
        self.addCleanup(self.kill)
        if self._user is not None:
            for path in (self.directory, self.log):
                shutil.chown(path, self._user, self._user)
        self._initialise()
        self.start()

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where a client finds the server, with user and password."""

    @property
    def pid(self) -> int | None:
        """The main process, or None while the server is down."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server where it was, and wait until it answers.

        :raises ServerError: when it ends instead, or does not answer within
            START_TIMEOUT seconds; in both cases it is not left running.
        """
        if self._process is not None:
            return
        command = self._command()
        self._process = self._spawn(command)
        try:
            self._wait(command[0])
        except ServerError:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server in order; after STOP_TIMEOUT seconds by force."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """End every process of the server with SIGKILL, at once.

        When it returns the processes are gone and the port is free.
        """
        if self._process is None:
            return
        _kill_all(self._process)
        self._process = None

    def restart(self) -> None:
        """Stop in order and start again."""
        self.stop()
        self.start()

    def processes(self) -> list[psutil.Process]:
        """Every living process which this fixture has started."""
        found: list[psutil.Process] = []
        mains = [self._process] if self._process is not None else []
        for main in mains + self._helpers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(main.pid)
                found += [process, *process.children(recursive=True)]
        return found

    @property
    def _data(self) -> pathlib.Path:
        return self.directory / 'data'

    @property
    def _user(self) -> str | None:
        """The user that must own the server, or None for our own."""
        return None

    @abc.abstractmethod
    def _initialise(self) -> None:
        """Fill the empty directory; runs once."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """The command line that runs the server in the foreground."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Whether a client would be served now."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def _identity(self) -> dict[str, Any]:
        """What subprocess needs to become the server's user."""
        if self._user is None:
            return {}
        return {'user': self._user, 'group': self._user, 'extra_groups': []}

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.log, 'ab') as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The current one may be closed to the server's user.
                cwd=self.directory,
                env=self._environment(),
                # A group of its own: no Ctrl-C of the terminal reaches it.
                start_new_session=True,
                **self._identity(),
            )

    def _run(self, command: list[str]) -> None:
        """Run a preparing program to its end."""
        process = self._spawn(command)
        try:
            process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            _kill_all(process)
        if process.returncode != 0:
            raise ServerError(self._failure(command[0], process.returncode))

    def _wait(self, program: str) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            # Asked first: another program may answer on the port instead.
            status = self._process.poll()
            if status is not None:
                raise ServerError(self._failure(program, status))
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f'{program} does not answer after {START_TIMEOUT:.0f} s.\n'
                    + self._log_tail()
                )
            time.sleep(0.05)

    def _failure(self, program: str, status: int) -> str:
        return (
            f'{program} ended with exit status {status}.\n' + self._log_tail()
        )

    def _log_tail(self) -> str:
        with open(self.log, errors='replace') as log:
            tail = collections.deque(log, _LOG_TAIL)
        return 'The end of its log:\n' + ''.join(tail)

    def _kill_helpers(self) -> None:
        for helper in self._helpers:
            _kill_all(helper)
        self._helpers.clear()


class Database(Server):
    """A database server, seen through SQLAlchemy."""

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = 'pci_' + secrets.token_hex(6)
        with self.connect() as connection:
            connection.execute(sa.text(self._create_statement(name)))
        return self._url(name)

    @property
    def url(self) -> str:
        """The URL of the server's own database, as its administrator."""
        return self._url(self._system_database)

    @contextlib.contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Connect as the administrator, outside of any transaction."""
        engine = sa.create_engine(
            self.url,
            poolclass=sa.NullPool,
            isolation_level='AUTOCOMMIT',
            connect_args={'connect_timeout': 5},
        )
        with engine.connect() as connection:
            yield connection

    @property
    @abc.abstractmethod
    def _system_database(self) -> str:
        """A database that every server of the kind has."""

    @abc.abstractmethod
    def _url(self, database: str) -> str: ...

    @abc.abstractmethod
    def _create_statement(self, name: str) -> str: ...

    def _answers(self) -> bool:
        try:
            with self.connect() as connection:
                connection.execute(sa.text('SELECT 1'))
        except sa.exc.DBAPIError:
            return False
        return True


class MariaDB(Database):
    """A MariaDB server."""

    _system_database = 'mysql'

    def _initialise(self) -> None:
        command = [
            'mariadb-install-db',
            '--no-defaults',
            f'--datadir={self._data}',
            # Root of the database is then whoever runs it, and only through
            # the socket: no account without a password is reachable.
            '--auth-root-authentication-method=socket',
            '--skip-test-db',
            *self._as_root(),
        ]
        self._run(command)
        account = f"'pci'@'{LOOPBACK}'"
        self._init_file.write_text(
            f'CREATE USER IF NOT EXISTS {account}'
            f" IDENTIFIED BY '{self.password}';\n"
            f'GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n'
        )

    def _command(self) -> list[str]:
        return [
            _program('mariadbd', '/usr/sbin', '/usr/libexec'),
            '--no-defaults',
            f'--datadir={self._data}',
            f'--tmpdir={self.directory}',
            f'--socket={self.directory}/socket',
            f'--pid-file={self.directory}/pid',
            f'--init-file={self._init_file}',
            f'--bind-address={LOOPBACK}',
            f'--port={self.port}',
            '--skip-name-resolve',
            '--skip-log-bin',
            '--character-set-server=utf8mb4',
            '--collation-server=utf8mb4_general_ci',
            '--max-connections=200',
            '--performance-schema=OFF',
            '--innodb-buffer-pool-size=32M',
            '--innodb-log-file-size=16M',
            '--key-buffer-size=1M',
            '--aria-pagecache-buffer-size=1M',
            *self._as_root(),
        ]

    @property
    def _init_file(self) -> pathlib.Path:
        return self.directory / 'init.sql'

    def _as_root(self) -> list[str]:
        # The server refuses to run as root unless told so by name.
        if os.geteuid() != 0:
            return []
        return [f'--user={pwd.getpwuid(0).pw_name}']

    def _url(self, database: str) -> str:
        return (
            f'mysql+pymysql://pci:{self.password}@{LOOPBACK}:{self.port}'
            f'/{database}?charset=utf8mb4'
        )

    def _create_statement(self, name: str) -> str:
        return f'CREATE DATABASE {name} CHARACTER SET utf8mb4'


class PostgreSQL(Database):
    """A PostgreSQL server."""

    _system_database = 'postgres'

    # "Fast": open connections are ended. SIGTERM would wait for them.
    stop_signal = signal.SIGINT

    @property
    def _user(self) -> str | None:
        # The server never runs as root; its package brings this user.
        return 'postgres' if os.geteuid() == 0 else None

    def _initialise(self) -> None:
        password_file = self.directory / 'password'
        password_file.write_text(self.password)
        self._run(
            [
                _program('initdb', *_postgresql_directories()),
                f'--pgdata={self._data}',
                '--username=pci',
                f'--pwfile={password_file}',
                '--auth=scram-sha-256',
                '--encoding=UTF8',
                '--locale=C',
                # Concerns the files of the empty cluster only, and only a
                # crash of the whole machine.
                '--no-sync',
            ]
        )

    def _command(self) -> list[str]:
        settings = {
            'listen_addresses': LOOPBACK,
            'port': self.port,
            'unix_socket_directories': '',
            'max_connections': 200,
            'shared_buffers': '32MB',
            'max_wal_size': '128MB',
            'dynamic_shared_memory_type': 'mmap',
        }
        command = [
            _program('postgres', *_postgresql_directories()),
            '-D',
            str(self._data),
        ]
        for name, value in settings.items():
            command += ['-c', f'{name}={value}']
        return command

    def _url(self, database: str) -> str:
        return (
            f'postgresql+psycopg2://pci:{self.password}'
            f'@{LOOPBACK}:{self.port}/{database}'
        )

    def _create_statement(self, name: str) -> str:
        return f'CREATE DATABASE {name}'


class RabbitMQ(Server):
    """A RabbitMQ broker with an Erlang port mapper (epmd) of its own."""

    @property
    def url(self) -> str:
        """The transport URL for oslo.messaging."""
        return f'rabbit://pci:{self.password}@{LOOPBACK}:{self.port}/'

    def _initialise(self) -> None:
        self._epmd_port = self.useFixture(Port()).number
        self._erlang_port = self.useFixture(Port()).number
        (self.directory / 'plugins').write_text('[].\n')
        (self.directory / 'rabbitmq.conf').write_text(
            f'listeners.tcp.1 = {LOOPBACK}:{self.port}\n'
            'default_user = pci\n'
            f'default_pass = {self.password}\n'
            'log.console = true\n'
            'log.file = false\n'
            'vm_memory_high_watermark.absolute = 512MB\n'
            'disk_free_limit.absolute = 50MB\n'
        )
        # Started here, epmd is our child. Erlang would start it as a daemon
        # that outlives the broker.
        epmd = [_program('epmd'), '-port', str(self._epmd_port)]
        self._helpers.append(self._spawn([*epmd, '-address', LOOPBACK]))

    def _command(self) -> list[str]:
        # The wrapper in the PATH of a distribution changes user and
        # directories; the script behind it does as it is told.
        return [_program('rabbitmq-server', '/usr/lib/rabbitmq/bin')]

    def _environment(self) -> dict[str, str]:
        directory = self.directory
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(('RABBITMQ_', 'ERL_'))
        }
        return kept | {
            # Erlang keeps its cookie there.
            'HOME': str(directory),
            'ERL_CRASH_DUMP_BYTES': '0',
            'ERL_EPMD_ADDRESS': LOOPBACK,
            'ERL_EPMD_PORT': str(self._epmd_port),
            # Read by every Erlang process, so that also the short-lived ones
            # which the broker starts listen on no other interface.
            'ERL_FLAGS': '-kernel inet_dist_use_interface {127,0,0,1}',
            'RABBITMQ_NODENAME': f'pci{self.port}@localhost',
            'RABBITMQ_DIST_PORT': str(self._erlang_port),
            'RABBITMQ_CONF_ENV_FILE': str(directory / 'no-env.conf'),
            'RABBITMQ_CONFIG_FILE': str(directory / 'rabbitmq.conf'),
            'RABBITMQ_ADVANCED_CONFIG_FILE': str(directory / 'none.config'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(directory / 'plugins'),
            'RABBITMQ_MNESIA_BASE': str(directory / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(directory),
            'RABBITMQ_PID_FILE': str(directory / 'pid'),
            'RABBITMQ_GENERATED_CONFIG_DIR': str(directory / 'config'),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 +sbwt none',
            # Makes the script become the broker instead of its parent: the
            # exit status is then the broker's, which the parent hides.
            'RUNNING_UNDER_SYSTEMD': 'yes',
        }

    def _answers(self) -> bool:
        # The listener is the last that the broker starts; whoever greets
        # with the protocol header gets Connection.Start, a method frame.
        try:
            with socket.create_connection((LOOPBACK, self.port), 5) as tcp:
                tcp.sendall(b'AMQP\x00\x00\x09\x01')
                return tcp.recv(1) == b'\x01'
        except OSError:
            return False


_shared: dict[type[Server], Server] = {}
_shared_lock = threading.Lock()


def shared(kind: type[_S]) -> _S:
    """Give the one server of a kind which all tests of a process share.

    It starts with the first call and ends with the process. A test that
    stops or kills the server makes its own instead.
    """
    with _shared_lock:
        server = _shared.get(kind)
        if server is None:
            server = kind()
            server.setUp()
            _shared[kind] = server
            atexit.register(_end_shared, server, os.getpid())
    assert isinstance(server, kind)
    return server


def _end_shared(server: Server, owner: int) -> None:
    # A forked child inherits the handler, but not the server.
    if os.getpid() == owner:
        server.cleanUp()


def _kill_all(main: subprocess.Popen[bytes]) -> None:
    """Kill a process and its descendants, and wait until they are gone.

    The process group is not enough: PostgreSQL's and Erlang's children have
    groups of their own.
    """
    doomed: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(main.pid)
        # A stopped parent starts no more children behind our back.
        process.suspend()
        doomed = [process, *process.children(recursive=True)]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(main.pid, signal.SIGKILL)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    main.wait()
    deadline = time.monotonic() + STOP_TIMEOUT
    while alive := [process for process in doomed if _lives(process)]:
        if time.monotonic() > deadline:
            raise ServerError(f'not even SIGKILL ended {alive}')
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    # A zombie holds neither port nor file; when the first process of the
    # machine collects it is not ours to wait for.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _program(name: str, *directories: str) -> str:
    """Find a program: in these directories first, then in the PATH."""
    path = os.pathsep.join([*directories, os.environ.get('PATH', os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerError(
            f'{name} is not installed; bindep.txt names the packages that the'
            ' functional tests need'
        )
    return found


@functools.cache
def _postgresql_directories() -> tuple[str, ...]:
    """Where Debian keeps the programs of each version, newest first."""

    def version(path: str) -> tuple[int, ...]:
        return tuple(int(digits) for digits in re.findall(r'\d+', path))

    found = glob.glob('/usr/lib/postgresql/*/bin')
    return tuple(sorted(found, key=version, reverse=True))
