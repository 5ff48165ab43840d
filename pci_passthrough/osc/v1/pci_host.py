# SPDX-License-Identifier: Apache-2.0
"""``openstack pci host …``."""

import argparse
from collections.abc import Iterable
from typing import ClassVar

from pci_passthrough.osc import errors
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options
from pci_passthrough.sdk import base as sdk_base
from pci_passthrough.sdk import errors as sdk_errors

_QUERY_OPTIONS: options.QueryOptions = {
    'host': {'help': 'only this host'},
    'state': {
        'choices': ('up', 'down'),
        'help': 'only hosts whose agent is up, or down',
    },
}

_SHORT: columns.Columns = {
    'Host': columns.field('host'),
    'State': columns.field('state'),
    'Tracker State': columns.field('tracker_state'),
    'Devices': columns.field('devices'),
    'Last Report At': columns.field('last_report_at', columns.OrDash),
}

_LONG: columns.Columns = {
    **_SHORT,
    'Generation': columns.field('generation'),
    'Agent Version': columns.field('agent_version', columns.OrDash),
    'Tracker Version': columns.field('tracker_version', columns.OrDash),
    'Tracker Seen At': columns.field('tracker_seen_at', columns.OrDash),
}


class List(listing.Lister):
    """List compute hosts that report devices.

    A host's devices are available only while both its agent (State) and the
    resource tracker in its nova-compute (Tracker State) are up.
    """

    query_options = _QUERY_OPTIONS
    marker = 'name'
    short_columns = _SHORT
    long_columns: ClassVar[columns.Columns | None] = _LONG

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return hosts."""
        return self.service.pci_hosts(**query)


class Delete(base.Command):
    """Forget hosts that are gone, with their devices.

    Stop pci-passthrough-agent on the host before; it would bring the host
    back. The history of the devices is kept. A host of which instances hold
    devices, or with devices that are disabled, quarantined or not yet cleaned,
    is only forgotten with --force and a --reason.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the hosts, force and reason."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'hosts',
            nargs='+',
            metavar='<host>',
            help='name of a host that is down (one or more)',
        )
        parser.add_argument(
            '--force',
            action='store_true',
            help='forget the hosts although instances hold devices of them, '
            'or some are not fit for another instance: for machines that will '
            'not come back',
        )
        parser.add_argument(
            '--reason',
            metavar='<reason>',
            help='why, for the history of the devices; needed with --force',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Forget each host, even if others cannot be forgotten."""
        failures = 0
        for host in parsed_args.hosts:
            try:
                self.service.delete_pci_host(
                    host, parsed_args.force, parsed_args.reason
                )
            except sdk_errors.ServiceError as error:
                failures += 1
                self.log.error('Failed to delete host %r: %s', host, error)
        if failures:
            total = len(parsed_args.hosts)
            raise errors.ClientError(
                f'{failures} of {total} hosts failed to delete.'
            )
