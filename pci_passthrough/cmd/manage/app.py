# SPDX-License-Identifier: Apache-2.0
"""The shell: global options, configuration, and the table of commands."""

import argparse
import functools
import getpass
import logging
import sys
from typing import Any

from cliff import app
from cliff import commandmanager

import pci_passthrough
from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.cmd.manage import claim
from pci_passthrough.cmd.manage import db
from pci_passthrough.cmd.manage import device
from pci_passthrough.cmd.manage import flavor
from pci_passthrough.cmd.manage import host
from pci_passthrough.cmd.manage import pool
from pci_passthrough.store import claims as store_claims
from pci_passthrough.store import schema

PROG = 'pci-passthrough-manage'

_COMMANDS = {
    'db sync': db.Sync,
    'db version': db.Version,
    'db purge': db.Purge,
    'flavor create': flavor.Create,
    'flavor list': flavor.List,
    'flavor show': flavor.Show,
    'flavor set': flavor.Set,
    'flavor delete': flavor.Delete,
    'pool list': pool.List,
    'device list': device.List,
    'device show': device.Show,
    'device set': device.Set,
    'device history': device.History,
    'host list': host.List,
    'claim': claim.Claim,
    'free': claim.Free,
}

#: Commands that make a database what the others need.
_WITHOUT_SCHEMA = (db.Sync, db.Version)


class ManageApp(app.App):
    """The program; commands reach it as ``self.app``."""

    def __init__(self) -> None:
        manager = commandmanager.CommandManager('pci_passthrough.manage')
        for name, command in _COMMANDS.items():
            manager.add_command(name, command)
        super().__init__(
            description='Administration of pci_passthrough.',
            version=pci_passthrough.version(),
            command_manager=manager,
            deferred_help=True,
        )

    def build_option_parser(
        self, description: str | None, version: str | None, **kwargs: Any
    ) -> argparse.ArgumentParser:
        """Add where the configuration is."""
        parser = super().build_option_parser(description, version, **kwargs)
        for option in ('--config-file', '--config-dir'):
            parser.add_argument(
                option,
                action='append',
                default=[],
                metavar='PATH',
                help='may be repeated; later values win (default: the usual '
                'places below /etc/pci_passthrough)',
            )
        return parser

    def configure_logging(self) -> None:
        """Send errors to standard error, everything only with ``--debug``.

        cliff would add a handler to the root logger each time, also in a
        program that has its own logging.
        """
        if self.options.debug:
            super().configure_logging()
        elif not self.LOG.handlers:
            console = logging.StreamHandler()
            console.setFormatter(logging.Formatter(f'{PROG}: %(message)s'))
            self.LOG.addHandler(console)
            self.LOG.propagate = False

    def initialize_app(self, argv: list[str]) -> None:
        """Read the configuration."""
        arguments = []
        for name in ('config_file', 'config_dir'):
            for path in getattr(self.options, name):
                arguments += [f'--{name.replace("_", "-")}', path]
        self.conf = conf_module.load(arguments, PROG)
        logging.getLogger('alembic').setLevel(logging.WARNING)

    def prepare_to_run_command(self, cmd: Any) -> None:
        """Refuse a database of another schema, before anything is done."""
        if isinstance(cmd, _WITHOUT_SCHEMA) or cmd.cmd_name in (
            'help',
            'complete',
        ):
            return
        schema.check(self.database)

    @functools.cached_property
    def database(self) -> store.Database:
        """The database which the configuration names."""
        return store.Database.from_conf(self.conf)

    @functools.cached_property
    def catalog(self) -> store.Catalog:
        """This process's pool keys."""
        return store.Catalog()

    @property
    def policy(self) -> store_claims.Policy:
        """What the operator configured about claims."""
        options = self.conf.conductor
        return store_claims.Policy(options.host_timeout, options.vf_placement)

    @property
    def actor(self) -> str:
        """Who acts, for the ledger."""
        return f'{getpass.getuser()} ({PROG})'


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    :returns: 0, or 1 after an error, which is on standard error.
    """
    return int(ManageApp().run(sys.argv[1:] if argv is None else argv))
