# SPDX-License-Identifier: Apache-2.0
"""``openstack pci device …``."""

import argparse

from osc_lib import exceptions

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options
from pci_passthrough.osc.v1 import pci_pool

_WHICH = 'UUID, or HOST/ADDRESS, for example compute-1/0000:65:00.1'

_FILTERS = {
    **pci_pool.FILTERS,
    'host': {'help': 'only those of this host'},
    'address': {'help': 'only those at this address'},
    'state': {
        'action': 'append',
        'choices': (
            'available', 'claimed', 'allocated', 'cleaning', 'quarantined',
            'disabled', 'missing',
        ),
        'metavar': '<state>',
        'help': 'only those in this state: available, claimed, allocated, '
        'cleaning, quarantined, disabled or missing (repeat for '
        'more than one)',
    },
    'instance': {
        'dest': 'instance_uuid',
        'help': 'only those which this instance holds (UUID)',
    },
    'held_by': {
        'metavar': '<pci-flavor>',
        'help': 'only those held through this PCI flavor (name or UUID)',
    },
}  # fmt: skip

_SHORT: columns.Layout = {
    'UUID': ('uuid', columns.as_is),
    'Host': ('host', columns.as_is),
    'Address': ('address', columns.as_is),
    'Type': ('dev_type', columns.as_is),
    'Vendor ID': ('vendor_id', columns.as_is),
    'Product ID': ('product_id', columns.as_is),
    'NUMA Node': ('numa_node', columns.OrDash),
    'State': ('state', columns.as_is),
    'Instance': ('instance_uuid', columns.OrDash),
}

_LONG: columns.Layout = {
    **_SHORT,
    'Extra Info': ('extra_info', columns.Tags),
    'PCI Flavor': ('pci_flavor_uuid', columns.OrDash),
    'Parent': ('parent_addr', columns.OrDash),
    'Class': ('pci_class', columns.OrDash),
    'Driver': ('driver', columns.OrDash),
    'Interface': ('devname', columns.OrDash),
    'Presence': ('presence', columns.OrDash),
    'Disabled Reason': ('disabled_reason', columns.OrDash),
}

_LOOKS = {'extra_info': columns.Tags, 'capabilities': columns.Names}

_EVENT: columns.Layout = {
    'At': ('created_at', columns.as_is),
    'Action': ('action', columns.as_is),
    'From': ('from_state', columns.OrDash),
    'To': ('to_state', columns.OrDash),
    'Actor': ('actor', columns.as_is),
    'Instance': ('instance_uuid', columns.OrDash),
    'Reason': ('reason', columns.OrDash),
}


class List(base.Lister):
    """List devices."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take filters."""
        parser = super().get_parser(prog_name)
        options.add_filters(parser, _FILTERS)
        options.add_long(parser)
        options.add_paging(parser, 'UUID')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        found = self.service.pci_devices(
            options.query(parsed_args, _FILTERS), parsed_args.limit
        )
        return columns.table(_LONG if parsed_args.long else _SHORT, found)


class Show(base.ShowOne):
    """Show a device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', metavar='<device>', help=_WHICH)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return names and values of all that is known."""
        device = self.service.pci_device(parsed_args.device)
        looks = {name: _LOOKS.get(name, columns.OrDash) for name in device}
        return columns.one(looks, device)


class Set(base.Command):
    """Take a device out of service, or put it back."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one, what and why."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', metavar='<device>', help=_WHICH)
        what = parser.add_mutually_exclusive_group(required=True)
        for action, text in (
            ('disable', 'give it to nobody (again); its owner keeps it'),
            ('enable', 'undo --disable'),
            ('quarantine', 'a free device: lock it away until --release'),
            ('release', 'undo --quarantine, also of a failed cleaning'),
        ):
            what.add_argument(
                f'--{action}',
                dest='action',
                action='store_const',
                const=action,
                help=text,
            )
        parser.add_argument(
            '--reason',
            metavar='<reason>',
            help='why, for the next operator; --disable and --quarantine '
            'need it',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Do it."""
        action, reason = parsed_args.action, parsed_args.reason
        if action in ('disable', 'quarantine') and not reason:
            raise exceptions.CommandError(f'--{action} needs a --reason')
        self.service.update_pci_device(parsed_args.device, action, reason)


class History(base.Lister):
    """Show what happened to a device, when (UTC), by whom and why."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one, and how much."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'device',
            metavar='<device>',
            help=f'{_WHICH}; by its UUID also a device that does not exist '
            'any more',
        )
        parser.add_argument(
            '--limit',
            metavar='<limit>',
            type=options.at_least_one,
            help='show only the newest so many events',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        events = self.service.pci_device_history(
            parsed_args.device, parsed_args.limit
        )
        return columns.table(_EVENT, events)
