# SPDX-License-Identifier: Apache-2.0
"""``device …``: devices, what operators may do to them, their history."""

import argparse
from collections.abc import Callable
from typing import Any

from cliff import lister

from pci_passthrough import objects
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import show_one
from pci_passthrough.cmd.manage import words
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators

_WHICH = 'UUID, or HOST/ADDRESS, for example compute-1/0000:65:00.1'

_SHORT: dict[str, Callable[[objects.PciDevice], Any]] = {
    'Host': lambda device: device.host,
    'Address': lambda device: device.address,
    'Type': lambda device: device.dev_type,
    'Vendor:Product': lambda device: f'{device.vendor_id}:{device.product_id}',
    'NUMA Node': lambda device: words.OrDash(device.numa_node),
    'Extra Info': lambda device: words.Tags(device.extra_info),
    'State': lambda device: device.state,
    'Instance': lambda device: words.OrDash(device.instance_uuid),
}

_LONG: dict[str, Callable[[objects.PciDevice], Any]] = {
    'UUID': lambda device: device.uuid,
    **_SHORT,
    'Parent': lambda device: words.OrDash(device.parent_addr),
    'Class': lambda device: device.pci_class,
    'Driver': lambda device: words.OrDash(device.driver),
    'Interface': lambda device: words.OrDash(device.devname),
    'Presence': lambda device: device.presence,
    'Disabled': lambda device: words.OrDash(device.disabled_reason),
}

_EVENT: dict[str, Callable[[objects.PciDeviceEvent], Any]] = {
    'At': lambda event: words.Time(event.created_at),
    'Action': lambda event: event.action,
    'From': lambda event: words.OrDash(event.from_state),
    'To': lambda event: words.OrDash(event.to_state),
    'Actor': lambda event: event.actor,
    'Instance': lambda event: words.OrDash(event.instance_uuid),
    'Reason': lambda event: words.OrDash(event.reason),
}


class List(lister.Lister):
    """List devices."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', help='only those of this host')
        parser.add_argument(
            '--instance',
            type=words.instance,
            metavar='UUID',
            help='only those which this instance holds',
        )
        parser.add_argument(
            '--state',
            choices=lifecycle.STATES,
            help='only those in this state',
        )
        parser.add_argument(
            '--long', action='store_true', help='show more columns'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and rows."""
        found = lookup.get_all(
            context.of(self).database,
            parsed_args.host,
            parsed_args.instance,
            parsed_args.state,
        )
        return words.table(_LONG if parsed_args.long else _SHORT, found)


def _show(
    device: objects.PciDevice,
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return names and values of all that is known."""
    values: dict[str, Any] = {
        'uuid': device.uuid,
        'host': device.host,
        'address': device.address,
        'state': device.state,
        **{name: words.OrDash(device.get(name)) for name in device.fields},
    }
    values['extra_info'] = words.Tags(device.extra_info)
    values['capabilities'] = words.Names(device.capabilities)
    for name in ('created_at', 'updated_at'):
        values[name] = words.Time(device.get(name))
    return tuple(values), tuple(values.values())


class Show(show_one.ShowOne):
    """Show a device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', help=_WHICH)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return names and values."""
        return _show(lookup.get(context.of(self).database, parsed_args.device))


class Set(show_one.ShowOne):
    """Take a device out of service, or put it back."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one, what and why."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', help=_WHICH)
        parser.add_argument(
            '--reason',
            default='',
            help='why, for the next operator; --disable and --quarantine '
            'need it',
        )
        what = parser.add_mutually_exclusive_group(required=True)
        for action, text in (
            ('disable', 'give it to nobody (again); its owner keeps it'),
            ('enable', 'undo --disable'),
            ('quarantine', 'a free device: lock it away until --release'),
            ('release', 'undo --quarantine'),
        ):
            what.add_argument(
                f'--{action}',
                dest='action',
                action='store_const',
                const=action,
                help=text,
            )
        self._parser = parser
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Do it and show the device."""
        action, reason = parsed_args.action, parsed_args.reason
        if action in ('disable', 'quarantine') and not reason:
            self._parser.error(f'--{action} needs a --reason')
        app = context.of(self)
        return _show(
            operators.act(
                app.writer, parsed_args.device, action, reason, app.actor
            )
        )


class History(lister.Lister):
    """Show what happened to a device, when (UTC), by whom and why."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'device', help=f'{_WHICH}; it need not exist any more'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and rows."""
        db, device = context.of(self).database, parsed_args.device
        if '/' in device:
            events = ledger.history(db, lookup.uuid_of(*device.rsplit('/', 1)))
        else:
            events = ledger.history(db, device)
        if not events:
            # Purged, or a slip of the keyboard.
            lookup.get(db, device)
        return words.table(_EVENT, events)
