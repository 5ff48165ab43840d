# SPDX-License-Identifier: Apache-2.0
"""``openstack pci usage …``."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options
from pci_passthrough.sdk import base as sdk_base

_QUERY_OPTIONS: options.QueryOptions = {
    'pci_flavor': {'help': 'only this PCI flavor (name or UUID)'},
    'start': {
        'help': 'also show for how long devices were used from this time on, '
        'in UTC, for example 2026-11-01T00:00:00Z'
    },
    'end': {'help': 'until this time (default: now)'},
}


def _name(pci_flavor: Mapping[str, Any]) -> str:
    return str(columns.OrDash(pci_flavor['name'] or pci_flavor['uuid']))


_COLUMNS: columns.Columns = {
    'Project': columns.field('project_id'),
    'PCI Flavor': columns.field('pci_flavor', _name),
    'Used': columns.field('used'),
    'Limit': columns.field('limit', columns.OrDash),
}

_WITH_SECONDS: columns.Columns = {
    **_COLUMNS,
    'Device Seconds': columns.field('device_seconds'),
}


class List(listing.Lister):
    """List how many devices projects use, and how many they may use.

    Two devices for an hour are 7200 device-seconds. The ledger has them, until
    db purge removes its old lines: ask for a period that was not purged.
    """

    query_options = _QUERY_OPTIONS
    marker = 'PROJECT/UUID of the PCI flavor'
    short_columns = _COLUMNS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the projects."""
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            '--project',
            metavar='<project>',
            help='this project (name or UUID; default: your own)',
        )
        which.add_argument(
            '--all-projects', action='store_true', help='all projects'
        )
        options.add_project_domain(parser)
        return parser

    def query(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the query, with the project."""
        query = super().query(parsed_args)
        if parsed_args.project is not None:
            query['project_id'] = self.project_id(
                parsed_args.project, parsed_args.project_domain
            )
        elif not parsed_args.all_projects:
            # None without Keystone: then the service decides.
            query['project_id'] = self.service.get_project_id()
        return query

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return usages."""
        return self.service.usages(**query)

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        with_seconds = parsed_args.start is not None
        return columns.table(
            _WITH_SECONDS if with_seconds else _COLUMNS,
            self.wanted(parsed_args),
        )
