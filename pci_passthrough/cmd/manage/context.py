# SPDX-License-Identifier: Apache-2.0
"""The configuration and the database of the running command.

They are opened when a command first uses them: ``--help`` needs no
configuration, and errors in the command line come before those of the
database.
"""

from collections.abc import Sequence
import functools
import getpass
import os
from typing import TypeVar

from cliff import command
from oslo_config import cfg

from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.store import schema

PROG = 'pci-passthrough-manage'

_Database = TypeVar('_Database', bound=store.Reader)


class Context:
    """Configuration, database, and the actor for the ledger.

    :param arguments: oslo.config's options that name configuration files.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._opened: list[store.Reader] = []

    @functools.cached_property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration.

        :raises: oslo_config.cfg.Error, InvalidConfiguration
        """
        conf = conf_module.load(self._arguments, PROG)
        # A user is waiting; the default, ten times ten seconds, is for
        # services.
        conf.set_default('max_retries', 0, group='database')
        return conf

    def open_reader(self) -> store.Reader:
        """Return the database to read from, whatever schema it has."""
        return self._keep(store.Reader.from_conf(self.conf))

    def open_writer(self) -> store.Writer:
        """Return the database to read and write, whatever schema it has."""
        return self._keep(store.Writer.from_conf(self.conf))

    @functools.cached_property
    def database(self) -> store.Reader:
        """The database, for commands that only ask.

        :raises: DatabaseNotReady if its schema is not what this code needs.
        """
        database = self.open_reader()
        schema.check(database)
        return database

    @functools.cached_property
    def writer(self) -> store.Writer:
        """The database, for commands that change something.

        :raises: DatabaseNotReady if its schema is not what this code needs.
        """
        database = self.open_writer()
        schema.check(database)
        return database

    @property
    def policy(self) -> store.Policy:
        """The operator's configuration in ``[conductor]``."""
        return store.Policy.from_conf(self.conf)

    @property
    def actor(self) -> str:
        """The user, for the ledger; with sudo the user who called sudo."""
        return f'{os.environ.get("SUDO_USER") or _user()} ({PROG})'

    def close(self) -> None:
        """Close the database if it was opened."""
        for database in self._opened:
            database.close()

    def _keep(self, database: _Database) -> _Database:
        self._opened.append(database)
        return database


def of(running: command.Command) -> Context:
    """Return the context of a running command."""
    context: Context = running.app.context  # type: ignore[attr-defined]
    return context


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        return f'uid {os.getuid()}'
