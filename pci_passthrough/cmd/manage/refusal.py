# SPDX-License-Identifier: Apache-2.0
"""``refusal …``: why Nova's scheduler passed over hosts."""

import argparse

from cliff import lister

from pci_passthrough.cmd.manage import arguments
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import formatters
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.store import scheduling_refusals

_COLUMNS = ('At', 'Instance', 'Requests', 'Hosts', 'Reason', 'Among Them')


class List(lister.Lister):
    """Show why hosts were refused to instances, when (UTC).

    A line for each reason of the newest hundred scheduling requests, with
    the number of hosts and some of their names. Refusals are kept for
    ``[conductor] refusals_kept`` days.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take whose."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--instance',
            type=arguments.instance_uuid,
            metavar='UUID',
            help='only those of this instance',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        app = context.of(self)
        found = scheduling_refusals.get_all(
            app.database,
            app.policy.refusals_kept,
            parsed_args.instance,
        )
        return _COLUMNS, [
            (
                formatters.Time(refusal.created_at),
                refusal.instance_uuid,
                refusal.requests,
                count,
                what,
                columns.Names(hosts),
            )
            for refusal in found
            for what, count, hosts in refusal.reasons
        ]
