# SPDX-License-Identifier: Apache-2.0
"""``db …``: the schema of the database, and purging."""

import argparse
import datetime

from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import show_one
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.store import database
from pci_passthrough.store import ledger
from pci_passthrough.store import pool_keys
from pci_passthrough.store import schema


class Sync(show_one.ShowOne):
    """Create the schema, or upgrade it; may be repeated."""

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Run the migrations; return the versions before and after."""
        db = context.of(self).open_writer()
        before = schema.version(db)
        after = schema.sync(db)
        return ('before', 'after'), (columns.OrDash(before), after)


class Version(show_one.ShowOne):
    """Show the schema's version, and the version that this release needs."""

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return both versions."""
        current = columns.OrDash(
            schema.version(context.of(self).open_reader())
        )
        return ('current', 'needed'), (current, schema.latest())


class Purge(show_one.ShowOne):
    """Delete old events of the ledger, and pool keys that no device has."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the age."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--days',
            type=_days,
            default=365,
            help='keep the events of this many days (default: %(default)s)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Delete both; return the numbers of deleted rows."""
        db = context.of(self).writer
        before = database.now() - datetime.timedelta(days=parsed_args.days)
        return ('events', 'pool_keys'), (
            ledger.purge(db, before),
            pool_keys.purge(db),
        )


def _days(text: str) -> int:
    """Parse a number of days.

    :raises argparse.ArgumentTypeError: the number is negative or too large.
    """
    days = int(text)
    if not 0 <= days <= 36500:
        raise argparse.ArgumentTypeError(f'{text} is not from 0 to 36500')
    return days
