# SPDX-License-Identifier: Apache-2.0
"""``db …``: the schema, and removing what is no longer needed."""

import argparse
import datetime

from cliff import command

from pci_passthrough.store import database
from pci_passthrough.store import ledger
from pci_passthrough.store import pool_keys
from pci_passthrough.store import schema


class Sync(command.Command):
    """Create the schema, or bring it up to date."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Run all migrations that are due."""
        before = schema.version(self.app.database)
        after = schema.sync(self.app.database)
        self.app.stdout.write(
            f'The schema is at {after} already.\n'
            if before == after
            else f'The schema was brought from {before or "nothing"} to '
            f'{after}.\n'
        )


class Version(command.Command):
    """Show the schema's version."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print the version, and the one that this release needs."""
        found = schema.version(self.app.database) or 'nothing'
        self.app.stdout.write(
            f'{found} (this release needs {schema.latest()})\n'
        )


class Purge(command.Command):
    """Delete old lines of the ledger, and pool keys that no device has."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the age."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--days',
            type=int,
            default=365,
            help='keep this many days of the ledger (default: %(default)s)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete, and say how much."""
        before = database.now() - datetime.timedelta(days=parsed_args.days)
        events = ledger.purge(self.app.database, before)
        keys = pool_keys.purge(self.app.database)
        self.app.stdout.write(
            f'{events} events and {keys} pool keys were deleted.\n'
        )
