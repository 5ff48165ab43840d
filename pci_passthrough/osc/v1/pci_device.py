# SPDX-License-Identifier: Apache-2.0
"""``openstack pci device …``."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from pci_passthrough.osc import errors
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import holders
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options
from pci_passthrough.osc.v1 import pci_pool
from pci_passthrough.osc.v1 import servers
from pci_passthrough.sdk import base as sdk_base

_DEVICE_HELP = 'UUID, or HOST/ADDRESS, for example compute-1/0000:65:00.1'

_QUERY_OPTIONS: options.QueryOptions = {
    **pci_pool.QUERY_OPTIONS,
    'host': {'help': 'only those of this host'},
    'address': {'help': 'only those at this address'},
    'state': {
        'action': 'append',
        'choices': (
            'available', 'claimed', 'allocated', 'cleaning', 'quarantined',
            'disabled', 'missing', 'refused', 'conflict',
        ),
        'metavar': '<state>',
        'help': 'only those in this state: available, claimed, allocated, '
        'cleaning, quarantined, disabled, missing, refused or conflict '
        '(repeat for more than one)',
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


class State(columns.OrDash):
    """A state; in tables, with the progress of a device's preparation.

    :param device: the device.
    """

    def __init__(self, device: Mapping[str, Any]) -> None:
        super().__init__(device['state'])
        self._percent = device.get('preparation_percent')
        self._since = device.get('preparation_since')

    def human_readable(self) -> str:
        """Return text for a table."""
        if self._value != 'cleaning' or self._since is None:
            return super().human_readable()
        percent = '' if self._percent is None else f'{self._percent} %, '
        return f'cleaning ({percent}since {self._since})'


def pci_flavor(device: Mapping[str, Any]) -> Any:
    """Return the PCI flavor through which a device is held.

    A service before microversion 1.2 gives no name, but the UUID.
    """
    return columns.OrDash(
        device.get('pci_flavor') or device['pci_flavor_uuid']
    )


_SHORT: columns.Columns = {
    'UUID': columns.field('uuid'),
    'Host': columns.field('host'),
    'Address': columns.field('address'),
    'Type': columns.device_type,
    'Vendor ID': columns.field('vendor_id', columns.OrDash),
    'Product ID': columns.field('product_id', columns.OrDash),
    'NUMA Node': columns.field('numa_node', columns.OrDash),
    'State': State,
    'PCI Flavor': pci_flavor,
    'Instance': columns.field('instance_uuid', columns.OrDash),
}

#: Looked up in Nova.
_OF_SERVER: columns.Columns = {
    'Server': columns.field(holders.NAME, columns.OrDash),
    'Project ID': columns.field(holders.PROJECT, columns.OrDash),
}

_LONG: columns.Columns = {
    **_SHORT,
    'Extra Info': columns.field('extra_info', columns.Tags),
    'Parent': columns.field('parent_addr', columns.OrDash),
    'Class': columns.field('pci_class', columns.OrDash),
    'Driver': columns.field('driver', columns.OrDash),
    'vGPU Type': columns.field('vgpu_type', columns.OrDash),
    'Resource Type': columns.field('resource_type', columns.OrDash),
    'Interface': columns.field('devname', columns.OrDash),
    'Presence': columns.field('presence', columns.OrDash),
    'Disabled Reason': columns.field('disabled_reason', columns.OrDash),
    'Serial Number': columns.field('serial_number', columns.OrDash),
    'Refusal': columns.field('refusal', columns.OrDash),
    'Conflict': columns.field('conflict', columns.OrDash),
    'Handlers': columns.field('handlers', columns.Ordered),
    'Preparation': columns.field('preparation_text', columns.OrDash),
    'Quarantine Reason': columns.field('quarantine_reason', columns.OrDash),
    'Failed Starts': columns.field('failed_starts', columns.OrDash),
}

_SHOW_COLUMNS: columns.Formatters = {
    'extra_info': columns.Tags,
    'capabilities': columns.Names,
    'handlers': columns.Ordered,
}

_SHOWN_FIRST = ('uuid', 'host', 'address', 'state')

_EVENT: columns.Columns = {
    'At': columns.field('created_at'),
    'Action': columns.field('action'),
    'From': columns.field('from_state', columns.OrDash),
    'To': columns.field('to_state', columns.OrDash),
    'Actor': columns.field('actor'),
    'Instance': columns.field('instance_uuid', columns.OrDash),
    'Reason': columns.field('reason', columns.OrDash),
}


class DeviceLister(listing.Lister):
    """List devices, without asking Nova."""

    query_options = _QUERY_OPTIONS
    marker = 'UUID'
    short_columns = _SHORT
    long_columns = _LONG

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return devices."""
        return self.service.pci_devices(**query)


class List(DeviceLister):
    """List devices.

    The names and projects of the servers are looked up in Nova, of those that
    it shows to you.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the option for servers' names."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--server',
            metavar='<server>',
            help='only those of this server (name or UUID)',
        )
        parser.add_argument(
            '--no-name-lookup',
            action='store_true',
            help='do not look up servers in Nova, which is faster; the '
            'columns Server and Project ID are left out',
        )
        return parser

    def query(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the query that the user's options describe."""
        query = super().query(parsed_args)
        if parsed_args.server is not None:
            query['instance_uuid'] = servers.uuid_of(
                self.app.client_manager, parsed_args.server
            )
        return query

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows, those of servers last."""
        if parsed_args.no_name_lookup:
            return super().take_action(parsed_args)
        devices = self.wanted(parsed_args)
        layout = self.long_columns if parsed_args.long else self.short_columns
        return columns.table(
            {**layout, **_OF_SERVER},
            holders.with_servers(self.app.client_manager, devices),
        )


def show(device: Mapping[str, Any]) -> base.Output:
    """Return the names and values of all fields of a device."""
    names = (*_SHOWN_FIRST, *device)
    formatters = {
        name: _SHOW_COLUMNS.get(name, columns.OrDash) for name in names
    }
    return columns.show(formatters, device)


class Show(base.ShowOne):
    """Show a device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the device."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', metavar='<device>', help=_DEVICE_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return names and values of all fields."""
        device = self.service.get_pci_device(parsed_args.device)
        return show(device.fields())


class DeviceAction(base.Command):
    """Base of the commands that change a device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the device, the action and the reason."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', metavar='<device>', help=_DEVICE_HELP)
        group = parser.add_mutually_exclusive_group(required=True)
        for action, text in (
            (
                'disable',
                'give the device to no further instance; an instance that '
                'has it keeps it',
            ),
            ('enable', 'undo --disable'),
            ('quarantine', 'lock a free device until --release or --clean'),
            (
                'release',
                'end the quarantine of a device: it is available as it is; '
                'if it was not cleaned, with a --reason',
            ),
            (
                'clean',
                'have the handlers of a free or quarantined device clean it '
                'and set it up',
            ),
        ):
            group.add_argument(
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

    def change(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Change the device, and return it."""
        device = self.service.update_pci_device(
            parsed_args.device, parsed_args.action, parsed_args.reason
        )
        return device.fields()


class Set(DeviceAction):
    """Take a device out of service, clean it, or put it back."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the device."""
        if lacks_reason(parsed_args):
            raise errors.ClientError(
                f'--{parsed_args.action} needs a --reason'
            )
        self.change(parsed_args)


def lacks_reason(parsed_args: argparse.Namespace) -> bool:
    """Return whether the action needs a reason that the user did not give."""
    needs_reason = parsed_args.action in ('disable', 'quarantine')
    return needs_reason and not parsed_args.reason


class ResolveAction(base.Command):
    """Base of the commands that resolve the conflict of a device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the device, where its hardware is, and the reason."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', metavar='<device>', help=_DEVICE_HELP)
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument(
            '--moved-to',
            metavar='<address>',
            help='the hardware is at this address of the same host now: the '
            'instance keeps it',
        )
        where.add_argument(
            '--gone',
            action='store_true',
            help='the hardware is not on the host any more: the instance '
            'loses it, and the device that is at the address now is free',
        )
        parser.add_argument(
            '--reason',
            metavar='<reason>',
            required=True,
            help='why, for the next operator',
        )
        return parser

    def change(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Resolve the conflict, and return the device."""
        device = self.service.resolve_pci_device(
            parsed_args.device, parsed_args.moved_to, parsed_args.reason
        )
        return device.fields()


class Resolve(ResolveAction):
    """Say where the hardware of a device in conflict, or missing, is now."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Resolve the conflict."""
        self.change(parsed_args)


class History(base.Lister):
    """Show the history of a device: each event with time, actor and reason.

    Times are UTC.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the device, and the number of events."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'device',
            metavar='<device>',
            help=f'{_DEVICE_HELP}; the UUID may be that of a device that '
            'does not exist any more',
        )
        parser.add_argument(
            '--limit',
            metavar='<limit>',
            type=options.at_least_one,
            help='show only this many of the newest events',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        events = self.service.pci_device_history(
            parsed_args.device, parsed_args.limit
        )
        return columns.table(_EVENT, [event.fields() for event in events])
