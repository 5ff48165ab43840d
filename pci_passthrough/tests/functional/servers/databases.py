# SPDX-License-Identifier: Apache-2.0
"""The MariaDB and PostgreSQL servers."""

import abc
from collections.abc import Iterator
import contextlib
import functools
import glob
import os
import pathlib
import pwd
import re
import secrets
import signal

import sqlalchemy as sa

from pci_passthrough.tests.functional.servers import base


class Database(base.Server):
    """A database server that tests use with SQLAlchemy."""

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = 'pci_' + secrets.token_hex(6)
        with self.connect() as connection:
            connection.execute(sa.text(self._create_statement(name)))
        return self._url(name)

    @property
    def url(self) -> str:
        """The URL of the server's system database, for its administrator."""
        return self._url(self._system_database)

    @contextlib.contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Connect as the administrator, in autocommit mode."""
        engine = sa.create_engine(
            self.url,
            poolclass=sa.NullPool,
            isolation_level='AUTOCOMMIT',
            connect_args={'connect_timeout': 30},
        )
        with engine.connect() as connection:
            yield connection

    @property
    @abc.abstractmethod
    def _system_database(self) -> str:
        """The name of a database that always exists."""

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
            # A starting server removes all temporary tables in the directory,
            # including those of other servers.
            f'--tmpdir={self.directory}',
            # The database's root is then the user who runs the server, through
            # the socket only: no account without a password is reachable.
            '--auth-root-authentication-method=socket',
            '--skip-test-db',
            *self._as_root(),
        ]
        self._run(command)
        account = f"'{self.administrator}'@'{base.LOOPBACK}'"
        self._init_file.write_text(
            f'CREATE USER IF NOT EXISTS {account}'
            f" IDENTIFIED BY '{self.password}';\n"
            f'GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n'
        )

    def _command(self) -> list[str]:
        return [
            base.program('mariadbd', '/usr/sbin', '/usr/libexec'),
            '--no-defaults',
            f'--datadir={self._data}',
            f'--tmpdir={self.directory}',
            f'--socket={self.directory}/socket',
            f'--pid-file={self.directory}/pid',
            f'--init-file={self._init_file}',
            f'--bind-address={base.LOOPBACK}',
            f'--port={self.port}',
            '--skip-name-resolve',
            '--skip-log-bin',
            '--character-set-server=utf8mb4',
            '--collation-server=utf8mb4_general_ci',
            '--max-connections=200',
            '--performance-schema=OFF',
            '--innodb-buffer-pool-size=32M',
            '--innodb-log-file-size=16M',
            '--innodb-flush-method=nosync',
            '--key-buffer-size=1M',
            '--aria-pagecache-buffer-size=1M',
            *self._as_root(),
        ]

    @property
    def _init_file(self) -> pathlib.Path:
        return self.directory / 'init.sql'

    def _as_root(self) -> list[str]:
        # The server refuses to run as root without this option.
        if os.geteuid() != 0:
            return []
        return [f'--user={pwd.getpwuid(0).pw_name}']

    def _url(self, database: str) -> str:
        return (
            f'mysql+pymysql://{self.administrator}:{self.password}'
            f'@{base.LOOPBACK}:{self.port}/{database}?charset=utf8mb4'
        )

    def _create_statement(self, name: str) -> str:
        return f'CREATE DATABASE {name} CHARACTER SET utf8mb4'


class PostgreSQL(Database):
    """A PostgreSQL server."""

    _system_database = 'postgres'

    # "Fast" shutdown: closes open connections. SIGTERM would wait for them.
    stop_signal = signal.SIGINT

    @property
    def _user(self) -> str | None:
        # The server never runs as root; its package creates this user.
        return 'postgres' if os.geteuid() == 0 else None

    def _initialise(self) -> None:
        password_file = self.directory / 'password'
        password_file.write_text(self.password)
        self._run(
            [
                base.program('initdb', *_postgresql_directories()),
                f'--pgdata={self._data}',
                f'--username={self.administrator}',
                f'--pwfile={password_file}',
                '--auth=scram-sha-256',
                '--encoding=UTF8',
                '--locale=C',
                # Only affects a crash of the machine while the empty cluster
                # is created.
                '--no-sync',
            ]
        )

    def _command(self) -> list[str]:
        settings = {
            'listen_addresses': base.LOOPBACK,
            'port': self.port,
            'unix_socket_directories': '',
            'max_connections': 200,
            'shared_buffers': '32MB',
            'max_wal_size': '128MB',
            'dynamic_shared_memory_type': 'mmap',
            'fsync': 'off',
        }
        command = [
            base.program('postgres', *_postgresql_directories()),
            '-D',
            str(self._data),
        ]
        for name, value in settings.items():
            command += ['-c', f'{name}={value}']
        return command

    def _url(self, database: str) -> str:
        return (
            f'postgresql+psycopg2://{self.administrator}:{self.password}'
            f'@{base.LOOPBACK}:{self.port}/{database}'
        )

    def _create_statement(self, name: str) -> str:
        return f'CREATE DATABASE {name}'


@functools.cache
def _postgresql_directories() -> tuple[str, ...]:
    """Return Debian's directories of programs, newest version first."""

    def version(path: str) -> tuple[int, ...]:
        return tuple(int(digits) for digits in re.findall(r'\d+', path))

    directories = glob.glob('/usr/lib/postgresql/*/bin')
    return tuple(sorted(directories, key=version, reverse=True))
