# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor capacity`` and ``explain``."""

import argparse
from collections.abc import Mapping
import functools
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options

_SHOW_COLUMNS: columns.Formatters = {
    'name': columns.plain,
    'count': columns.plain,
    'availability': columns.plain,
    'free': columns.plain,
    'total': columns.plain,
    'requests': columns.plain,
    'hosts': functools.partial(
        columns.Lines,
        line=lambda host: (
            f'{host["host"]}: {host["free"]} of {host["total"]} free, '
            f'requests: {host["requests"]}'
        ),
    ),
}


class Capacity(base.ShowOne):
    """Show how many requests for a PCI flavor can be served.

    Availability is none if no host can serve one request now, low if few
    requests can be served, or ok. Administrators also get the number of free
    devices, of all devices, and of requests that the free devices can serve,
    for each host and in sum. All devices of a request are on one host, so
    free devices of different hosts do not add up to a request.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor, and the number of devices in a request."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        options.add_count(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return names and values."""
        supply = self.service.get_pci_flavor_availability(
            parsed_args.pci_flavor, parsed_args.count
        )
        return columns.show(_SHOW_COLUMNS, supply.fields())


def _near_miss(miss: Mapping[str, Any]) -> str:
    value = miss['found'] if miss['found'] is not None else 'nothing'
    wanted = miss['wanted'] if miss['wanted'] != 'null' else 'nothing'
    return (
        f'{miss["devices"]} x {miss["pool"]}: {miss["key"]} is {value}, '
        f'wanted {wanted}'
    )


_HOST: columns.Columns = {
    'Host': columns.field('host'),
    'Serves': columns.field('serves'),
    'Condition': columns.field('condition', columns.OrDash),
    'Needed': columns.field('needed', columns.OrDash),
    'Left': columns.field('left', columns.OrDash),
    'Detail': columns.field('detail', columns.OrDash),
    'Near Misses': columns.field(
        'near_misses', functools.partial(columns.Lines, line=_near_miss)
    ),
}

_REASON: columns.Columns = {
    'Condition': columns.field('condition'),
    'Reason': columns.field('text'),
}


class Explain(base.Lister):
    """Show why hosts can serve a request for a PCI flavor, or cannot.

    Administrators get each host with the condition that keeps it from serving
    the request, and with the devices that match all conditions but one. Other
    users get the reasons without hosts and numbers, in the order in which the
    conditions are decided, and before them the conditions that some host
    fulfils: the last reason is the nearest to success.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the request, and the hosts to consider."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        options.add_count(parser)
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
            help='only devices for a NIC on this physical network. The NIC '
            'has the vnic_type of the PCI flavor, or direct if the PCI '
            'flavor has none (repeat for a network with several physical '
            'networks; for an administrator)',
        )
        networks.add_argument(
            '--no-physical-network',
            action='store_const',
            const=[''],
            dest='physical_networks',
            help='only devices for a NIC on an overlay network: devices that '
            'are on no physical network',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows; print a summary to standard error."""
        explanation = self.service.explain_pci_flavor(
            parsed_args.pci_flavor,
            parsed_args.count,
            parsed_args.host,
            parsed_args.physical_networks,
        ).fields()
        self.warn(explanation)
        if 'hosts' in explanation:
            if explanation['summary']:
                print(explanation['summary'], file=self.app.stderr)
            return columns.table(_HOST, explanation['hosts'])
        if not explanation['reasons']:
            # At least one host can serve the request.
            supply = self.service.get_pci_flavor_availability(
                parsed_args.pci_flavor, parsed_args.count
            )
            print(
                f'availability of {explanation["count"]} '
                f'{explanation["name"]}: {supply.availability}',
                file=self.app.stderr,
            )
        else:
            for step in explanation.get('steps', []):
                if step['fulfilled']:
                    print(f'yes: {step["text"]}', file=self.app.stderr)
        return columns.table(_REASON, explanation['reasons'])
