# SPDX-License-Identifier: Apache-2.0
"""``refusal …``: the reasons why Nova's scheduler refused hosts."""

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
    """List the reasons why Nova's scheduler refused hosts to instances.

    Each line is one reason of one scheduling request, with its time (UTC), the
    number of refused hosts and some of their names. The list has the newest
    hundred requests. Refusals are kept for ``[conductor] refusals_kept`` days.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the instance."""
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
        refusals = scheduling_refusals.get_all(
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
            for refusal in refusals
            for what, count, hosts in refusal.reasons
        ]
