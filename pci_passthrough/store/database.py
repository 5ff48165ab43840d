# SPDX-License-Identifier: Apache-2.0
"""Connections, transactions and repetitions: ``Reader`` and ``Writer``."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import datetime
import functools
import os
from typing import Any
from typing import Final
from typing import ParamSpec
from typing import Self
from typing import TypeVar

from oslo_config import cfg
from oslo_db import api as db_api
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import IsolationLevel

from pci_passthrough import exception
from pci_passthrough.store import pool_catalog

_P = ParamSpec('_P')
_R = TypeVar('_R')

#: How long a statement waits for another process's write on SQLite.
_SQLITE_BUSY_SECONDS = 30


class Reader:
    """A database to read from. Code that only asks gets no more than this.

    Most reads are one statement each. They run in AUTOCOMMIT: BEGIN and
    ROLLBACK around a pool query would take longer than the query.

    The isolation level of an engine is never changed. Changing it for one
    transaction costs a round trip, and changing it back another; if the
    server goes away between the two, SQLAlchemy raises the driver's error,
    which is not one of ``ERRORS``.

    :ivar catalog: this process's copy of all pool keys.
    :param url: a database URL of SQLAlchemy.
    :param options: the ``[database]`` group, for oslo.db's ``enginefacade``.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.catalog = pool_catalog.Catalog()
        self._is_sqlite = sa.make_url(url).get_backend_name() == 'sqlite'
        self._reading = _make_engine(url, options)
        if self._is_sqlite:
            _prepare_sqlite(self._reading, query_only=True)
        else:
            _isolate(self._reading, *_READING_LEVELS)

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Open the database of ``[database] connection``."""
        options = {
            name: value
            for name, value in conf.database.items()
            if name in _ENGINE_OPTIONS and value is not None
        }
        return cls(conf.database.connection, **options)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Return a connection for single statements that change nothing."""
        with self._reading.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """Return a connection whose statements all see the same moment."""
        with self.read() as connection:
            if self._is_sqlite:
                # The first statement begins a transaction by itself.
                yield connection
                return
            connection.exec_driver_sql(
                _BEGIN_SNAPSHOT.get(
                    connection.dialect.name, 'START TRANSACTION READ ONLY'
                )
            )
            try:
                yield connection
            finally:
                # A lost connection has lost its transaction, too.
                if not connection.invalidated:
                    connection.exec_driver_sql('ROLLBACK')

    def close(self) -> None:
        """Close all pooled connections."""
        self._reading.dispose()


#: MariaDB's transactions have the isolation level of their connection.
_READING_LEVELS: Final[tuple[IsolationLevel, ...]] = (
    'REPEATABLE READ',
    'AUTOCOMMIT',
)

#: By dialect, where the isolation level is a part of the statement.
_BEGIN_SNAPSHOT: Final = {
    'postgresql': 'START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY'
}


class Writer(Reader):
    """A database to read and write, for conductors and operators.

    :ivar engine: SQLAlchemy's engine for the connections that write.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.engine = _make_engine(url, options)
        if self._is_sqlite:
            _prepare_sqlite(self.engine)
            _serialize_writers(self.engine)
        else:
            # REPEATABLE READ locks gaps on MariaDB: concurrent claims on
            # different hosts would deadlock each other.
            _isolate(self.engine, 'READ COMMITTED')

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Return a transaction: committed, or on an error rolled back."""
        with self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
        super().close()


#: Options of ``[database]`` that oslo.db passes to the engine.
_ENGINE_OPTIONS = (
    'sqlite_synchronous',
    'mysql_sql_mode',
    'mysql_wsrep_sync_wait',
    'connection_recycle_time',
    'connection_debug',
    'max_pool_size',
    'max_overflow',
    'pool_timeout',
    'max_retries',
    'retry_interval',
    'connection_trace',
    'connection_parameters',
)


def retried(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Repeat a whole operation whose failure may be temporary.

    Temporary are deadlocks, lost connections, and violations of unique or
    foreign keys where another process was faster. Operations that write are
    idempotent, so one whose commit got no answer may be repeated, too.

    :raises: DatabaseUnavailable if every repetition failed, after about ten
        seconds.
    """
    repeated = db_api.wrap_db_retry(
        max_retries=10,
        retry_interval=0.05,
        inc_retry_interval=True,
        max_retry_interval=2,
        jitter=True,
        exception_checker=_is_temporary,
    )(function)

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            result: _R = repeated(*args, **kwargs)
        except Exception as error:
            # A connection pool that stays empty has made the caller wait
            # long enough: it is not repeated, only translated.
            if not (
                _is_temporary(error) or isinstance(error, sa.exc.TimeoutError)
            ):
                raise
            raise exception.DatabaseUnavailable(
                f'the database does not answer: {str(error).splitlines()[0]}'
            ) from error
        return result

    return wrapper


#: Errors of a database that ``retried`` does not translate. An ImportError
#: means that the database's driver is not installed.
ERRORS: Final = (db_exc.DBError, sa.exc.SQLAlchemyError, ImportError)


def check_url(url: str) -> None:
    """Check that a text is a database URL whose driver is installed.

    :raises: InvalidConfiguration
    """
    try:
        sa.make_url(url).get_dialect().import_dbapi()
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:
        # Never the URL itself: it may contain a password.
        known = isinstance(error, (sa.exc.NoSuchModuleError, ImportError))
        raise exception.InvalidConfiguration(
            '[database] connection cannot be used: '
            f'{error if known else "it is not a URL"}; right would be, for '
            'example: mysql+pymysql://user:password@controller/pci_passthrough'
        ) from error


def describe_url(url: str) -> str:
    """Name a database without its password."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        # Not even quoted: a text that is no URL may contain a password.
        return 'the database that [database] connection names'
    # The query may contain passwords, too, for example that of a key.
    shown = parsed.set(query={}).render_as_string(hide_password=True)
    return f'the database {shown}'


def is_storable(text: str) -> bool:
    """Whether the database may be searched for a text.

    PostgreSQL refuses even a search for a text that it cannot store, such as
    one with a NUL or half a surrogate pair. All names and identifiers in the
    database are printable.
    """
    return text.isprintable()


def now() -> datetime.datetime:
    """Return the time in UTC, without a time zone, as the database has it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, db_exc.DBError) and isinstance(
        error.inner_exception, sa.exc.InternalError
    ):
        # oslo.db has no class for it.
        return _is_outage(error.inner_exception.orig)
    if isinstance(error, sa.exc.OperationalError):
        return _is_outage(error.orig)
    if 'database is locked' in str(error):
        return isinstance(error, db_exc.DBError)
    return isinstance(
        error,
        db_exc.DBDeadlock
        | db_exc.DBConnectionError
        | db_exc.DBDuplicateEntry
        | db_exc.DBReferenceError,
    )


def _is_outage(error: BaseException | None) -> bool:
    """Whether a driver's error means that the server is not there now.

    oslo.db does not recognize the error of PostgreSQL 14 and later that
    refuses a connection, nor any server that is starting, stopping or full.
    """
    if 'database is locked' in str(error):
        return True
    if error is not None and hasattr(error, 'pgcode'):
        return error.pgcode in (None, *_POSTGRESQL_OUTAGES)
    return bool(error and error.args and error.args[0] in _MARIADB_OUTAGES)


#: admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections;
#: read_only_sql_transaction, as in a failover; disk_full, out_of_memory. The
#: client library's errors have no code: there is no connection.
_POSTGRESQL_OUTAGES: Final = (
    '57P01', '57P02', '57P03', '53300', '25006', '53100', '53200',
)  # fmt: skip

#: ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN, ER_TOO_MANY_USER_CONNECTIONS,
#: ER_USER_LIMIT_REACHED; ER_OPTION_PREVENTS_STATEMENT: read-only, as in a
#: failover; ER_DISK_FULL, ER_RECORD_FILE_FULL, ER_OUT_OF_RESOURCES
_MARIADB_OUTAGES: Final = (1040, 1053, 1203, 1226, 1290, 1021, 1114, 1041)


def _make_engine(url: str, options: Mapping[str, Any]) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == 'sqlite':
        _make_private(parsed.database)
        options = {**options, 'sqlite_fk': True, 'connection_parameters': ''}
    context = enginefacade.transaction_context()
    context.configure(connection=url, **options)
    engine: sa.Engine = context.writer.get_engine()
    # oslo.db has tested the server with a connection that lacks the settings
    # of all later ones.
    engine.dispose()
    return engine


def _make_private(path: str | None) -> None:
    """Make SQLite's file, if it does not exist, for this user only.

    SQLite gives the files beside it the same permissions. Where the file
    cannot be made, SQLite says why.
    """
    if path and path != ':memory:' and not path.startswith('file:'):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, mode=0o600))


def _isolate(engine: sa.Engine, *levels: IsolationLevel) -> None:
    """Set the isolation levels of all connections of an engine."""

    @sa.event.listens_for(engine, 'connect')
    def _connect(dbapi_connection: Any, record: Any) -> None:
        for level in levels:
            engine.dialect.set_isolation_level(dbapi_connection, level)


def _prepare_sqlite(engine: sa.Engine, *, query_only: bool = False) -> None:
    """Let SQLite's connections wait for writers, or be read-only."""

    @sa.event.listens_for(engine, 'connect')
    def _connect(dbapi_connection: Any, record: Any) -> None:
        dbapi_connection.execute(
            f'PRAGMA busy_timeout = {_SQLITE_BUSY_SECONDS * 1000}'
        )
        dbapi_connection.execute('PRAGMA journal_mode = WAL')
        if query_only:
            dbapi_connection.execute('PRAGMA query_only = ON')


def _serialize_writers(engine: sa.Engine) -> None:
    """Take SQLite's write lock at BEGIN, not at the first write.

    A transaction that reads first cannot write later if another writer has
    committed in between: SQLite then fails at once, whatever the busy timeout.
    """

    # This keeps oslo.db's listener from emitting a BEGIN of its own. Ours
    # cannot run before it: SQLAlchemy 2.1 ignores insert=True here.
    @sa.event.listens_for(engine, 'engine_connect')
    @sa.event.listens_for(engine, 'rollback')
    @sa.event.listens_for(engine, 'commit')
    def _pretend_transaction(connection: sa.Connection) -> None:
        connection.info['in_transaction'] = True

    @sa.event.listens_for(engine, 'begin')
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql('BEGIN IMMEDIATE')
