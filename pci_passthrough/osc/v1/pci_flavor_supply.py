# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor capacity`` and ``explain``: what could be had."""

import argparse
from collections.abc import Mapping
import functools
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options


def _add_name_and_count(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'pci_flavor', metavar='<pci-flavor>', help='name or UUID'
    )
    options.add_count(parser)


_LOOKS: Mapping[str, Any] = {
    'name': columns.as_is,
    'count': columns.as_is,
    'availability': columns.as_is,
    'free': columns.as_is,
    'total': columns.as_is,
    'requests': columns.as_is,
    'hosts': functools.partial(
        columns.Lines,
        line=lambda host: (
            f'{host["host"]}: {host["free"]} of {host["total"]} free, '
            f'requests: {host["requests"]}'
        ),
    ),
}


class Capacity(base.ShowOne):
    """Show how much there is of a PCI flavor.

    Availability is none if no host has enough for one request now, low if
    little is left, or ok. An administrator also gets the number of free and
    of all devices, and how many whole requests they make, for each host and
    in sum. Devices that are left over on different hosts make no request.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one, and how many at once."""
        parser = super().get_parser(prog_name)
        _add_name_and_count(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return names and values."""
        found = self.service.availability(
            parsed_args.pci_flavor, parsed_args.count
        )
        return columns.one(_LOOKS, found)


def _near_miss(miss: Mapping[str, Any]) -> str:
    found = miss['found'] if miss['found'] is not None else 'nothing'
    wanted = miss['wanted'] if miss['wanted'] != 'null' else 'nothing'
    return (
        f'{miss["devices"]} x {miss["pool"]}: {miss["key"]} is {found}, '
        f'wanted {wanted}'
    )


_HOST: columns.Layout = {
    'Host': ('host', columns.as_is),
    'Serves': ('serves', columns.as_is),
    'Condition': ('condition', columns.OrDash),
    'Needed': ('needed', columns.OrDash),
    'Left': ('left', columns.OrDash),
    'Detail': ('detail', columns.OrDash),
    'Near Misses': (
        'near_misses',
        functools.partial(columns.Lines, line=_near_miss),
    ),
}

_REASON: columns.Layout = {
    'Condition': ('condition', columns.as_is),
    'Reason': ('text', columns.as_is),
}


class Explain(base.Lister):
    """Show why a request is served, or why not.

    An administrator gets each host with the condition that keeps it from
    serving the request, and the devices that only just do not match. Others
    get the reasons without hosts and numbers.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take what is asked for, and where."""
        parser = super().get_parser(prog_name)
        _add_name_and_count(parser)
        parser.add_argument(
            '--host',
            metavar='<host>',
            action='append',
            help='only this host (repeat for more than one; for an '
            'administrator)',
        )
        networks = parser.add_mutually_exclusive_group()
        networks.add_argument(
            '--physical-network',
            metavar='<physical-network>',
            action='append',
            dest='physical_networks',
            help='only devices that serve a NIC on this physical network, of '
            'the vnic_type of the PCI flavor, direct if it has none (repeat '
            'for a network with several; for an administrator)',
        )
        networks.add_argument(
            '--no-physical-network',
            action='store_const',
            const=[''],
            dest='physical_networks',
            help='the same for a NIC on an overlay network: devices that are '
            'on no physical network',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows; a summary goes where warnings go."""
        found = self.service.explain(
            parsed_args.pci_flavor,
            parsed_args.count,
            parsed_args.host,
            parsed_args.physical_networks,
        )
        if 'hosts' in found:
            if found['summary']:
                print(found['summary'], file=self.app.stderr)
            return columns.table(_HOST, found['hosts'])
        if not found['reasons']:
            # Some host serves it.
            level = self.service.availability(
                parsed_args.pci_flavor, parsed_args.count
            )['availability']
            print(
                f'availability of {found["count"]} {found["name"]}: {level}',
                file=self.app.stderr,
            )
        return columns.table(_REASON, found['reasons'])
