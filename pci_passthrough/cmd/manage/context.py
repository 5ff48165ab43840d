# SPDX-License-Identifier: Apache-2.0
"""What commands work with; made when first asked for.

So ``--help`` needs no configuration, and a slip in the command line is told
before the database is looked for.
"""

from collections.abc import Sequence
import functools
import getpass
import os

from cliff import command
from oslo_config import cfg

from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.store import schema
from pci_passthrough.store.claims import transitions

PROG = 'pci-passthrough-manage'


class Context:
    """Configuration, database, and who acts.

    :param arguments: where the configuration is, as oslo.config takes it.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._opened: store.Database | None = None

    @functools.cached_property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration.

        :raises: oslo_config.cfg.Error, InvalidConfiguration
        """
        conf = conf_module.load(self._arguments, PROG)
        # A person waits: ten times ten seconds are for services.
        conf.set_default('max_retries', 0, group='database')
        return conf

    def open(self) -> store.Database:
        """Return the database, whatever schema it has."""
        if self._opened is None:
            self._opened = store.Database.from_conf(self.conf)
        return self._opened

    @functools.cached_property
    def database(self) -> store.Database:
        """The database.

        :raises: DatabaseNotReady if its schema is not what this code needs.
        """
        database = self.open()
        schema.check(database)
        return database

    @functools.cached_property
    def catalog(self) -> store.Catalog:
        """This process's pool keys."""
        return store.Catalog()

    @property
    def policy(self) -> transitions.Policy:
        """What the operator configured about claims."""
        return transitions.Policy.from_conf(self.conf)

    @property
    def actor(self) -> str:
        """Who acts, for the ledger: with sudo, the one who called it."""
        return f'{os.environ.get("SUDO_USER") or _user()} ({PROG})'

    def close(self) -> None:
        """Close the database if it was opened."""
        if self._opened is not None:
            self._opened.close()


def of(asking: command.Command) -> Context:
    """Return the context of a command's program."""
    context: Context = asking.app.context  # type: ignore[attr-defined]
    return context


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        return f'uid {os.getuid()}'
