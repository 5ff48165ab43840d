# SPDX-License-Identifier: Apache-2.0
"""``device …``: devices, what operators may do to them, their history."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from cliff import lister
from cliff import show

from pci_passthrough import objects
from pci_passthrough.cmd.manage import words
from pci_passthrough.objects import fields
from pci_passthrough.store import devices
from pci_passthrough.store import ledger

_STATES = (*fields.DeviceStatus.ALL, 'disabled', 'missing')


class List(lister.Lister):
    """List devices."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host')
        parser.add_argument('--instance', metavar='UUID', help='its owner')
        parser.add_argument('--state', choices=_STATES)
        parser.add_argument(
            '--long', action='store_true', help='show more columns'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return columns and rows."""
        found = devices.get_all(
            self.app.database,
            parsed_args.host,
            parsed_args.instance,
            parsed_args.state,
        )
        columns = _LONG if parsed_args.long else _SHORT
        return (
            tuple(columns),
            (
                tuple(get(device) for get in columns.values())
                for device in found
            ),
        )


_SHORT: dict[str, Callable[[objects.PciDevice], Any]] = {
    'Host': lambda d: d.host,
    'Address': lambda d: d.address,
    'Type': lambda d: d.dev_type,
    'Vendor:Product': lambda d: f'{d.vendor_id}:{d.product_id}',
    'NUMA Node': lambda d: words.OrDash(d.numa_node),
    'Extra Info': lambda d: words.Tags(d.extra_info),
    'State': lambda d: d.state,
    'Instance': lambda d: words.OrDash(d.instance_uuid),
}

_LONG: dict[str, Callable[[objects.PciDevice], Any]] = {
    'UUID': lambda d: d.uuid,
    **_SHORT,
    'Parent': lambda d: words.OrDash(d.parent_addr),
    'Class': lambda d: d.pci_class,
    'Driver': lambda d: words.OrDash(d.driver),
    'Interface': lambda d: words.OrDash(d.devname),
    'Presence': lambda d: d.presence,
    'Disabled': lambda d: words.OrDash(d.disabled_reason),
}


def show_device(
    device: objects.PciDevice,
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return names and values of all that is known."""
    values: dict[str, Any] = {
        name: words.OrDash(device.get(name))
        for name in ('uuid', 'host', 'address', 'state', *device.fields)
    }
    values['state'] = device.state
    values['extra_info'] = words.Tags(device.extra_info)
    values['capabilities'] = words.Names(device.capabilities)
    return tuple(values), tuple(values.values())


class Show(show.ShowOne):
    """Show a device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', help='UUID, or HOST/ADDRESS')
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return names and values."""
        return show_device(devices.get(self.app.database, parsed_args.device))


class Set(show.ShowOne):
    """Take a device out of service, or put it back."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one, what and why."""
        parser = super().get_parser(prog_name)
        parser.add_argument('device', help='UUID, or HOST/ADDRESS')
        parser.add_argument(
            '--reason', default='', help='why; required to disable'
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
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Do it and show the device."""
        db, device = self.app.database, parsed_args.device
        reason, actor = parsed_args.reason, self.app.actor
        if parsed_args.action in ('disable', 'enable'):
            disabled = parsed_args.action == 'disable'
            after = devices.set_disabled(
                db,
                device,
                (reason or 'no reason given') if disabled else None,
                actor,
            )
        else:
            after = devices.move(db, device, parsed_args.action, reason, actor)
        return show_device(after)


class History(lister.Lister):
    """Show what happened to a device, by whom and why."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'device',
            help='UUID, or HOST/ADDRESS; it need not exist any more',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return columns and rows."""
        device = parsed_args.device
        if '/' in device:
            device = devices.uuid_of(*device.rsplit('/', 1))
        return (
            (
                'At',
                'Action',
                'From',
                'To',
                'Actor',
                'Instance',
                'Reason',
            ),
            (
                (
                    event.created_at.strftime('%Y-%m-%dT%H:%M:%S'),
                    event.action,
                    words.OrDash(event.from_state),
                    words.OrDash(event.to_state),
                    event.actor,
                    words.OrDash(event.instance_uuid),
                    words.OrDash(event.reason),
                )
                for event in ledger.history(self.app.database, device)
            ),
        )
