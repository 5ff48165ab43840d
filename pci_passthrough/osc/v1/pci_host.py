# SPDX-License-Identifier: Apache-2.0
"""``openstack pci host …``."""

import argparse
from collections.abc import Mapping
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options

_FILTERS: Mapping[str, Mapping[str, Any]] = {
    'host': {'help': 'only this host'},
    'state': {
        'choices': ('up', 'down'),
        'help': 'only those whose agent is up, or down',
    },
}

_SHORT: columns.Layout = {
    'Host': ('host', columns.as_is),
    'State': ('state', columns.as_is),
    'Tracker State': ('tracker_state', columns.as_is),
    'Devices': ('devices', columns.as_is),
    'Last Report At': ('last_report_at', columns.OrDash),
}

_LONG: columns.Layout = {
    **_SHORT,
    'Generation': ('generation', columns.as_is),
    'Agent Version': ('agent_version', columns.OrDash),
    'Tracker Version': ('tracker_version', columns.OrDash),
    'Tracker Seen At': ('tracker_seen_at', columns.OrDash),
}


class List(base.Lister):
    """List compute hosts that report devices.

    Devices of a host are offered only while both its agent (State) and its
    nova-compute (Tracker State) are up.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take filters."""
        parser = super().get_parser(prog_name)
        options.add_filters(parser, _FILTERS)
        options.add_long(parser)
        options.add_paging(parser, 'name')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        found = self.service.hosts(
            options.query(parsed_args, _FILTERS), parsed_args.limit
        )
        return columns.table(_LONG if parsed_args.long else _SHORT, found)
