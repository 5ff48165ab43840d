# SPDX-License-Identifier: Apache-2.0
"""``flavor …``: PCI flavors, without the REST API."""

import argparse
from collections.abc import Callable
from typing import Any

from cliff import command
from cliff import lister

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import show_one
from pci_passthrough.cmd.manage import words
from pci_passthrough.objects import fields
from pci_passthrough.osc import match
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--description', help='a text for users')
    parser.add_argument(
        '--vnic-type',
        choices=fields.VnicType.ALL,
        help='vnic_type of its NICs; without it they get direct',
    )
    parser.add_argument(
        '--numa-policy',
        choices=fields.NumaPolicy.ALL,
        help='how near to the instance a device must be (default: legacy)',
    )
    parser.add_argument(
        '--state',
        choices=fields.PciFlavorState.ALL,
        help='disabled: takes no new requests; what holds devices keeps them',
    )
    shared = parser.add_mutually_exclusive_group()
    shared.add_argument(
        '--public',
        dest='is_public',
        action='store_true',
        default=None,
        help='for all projects (default)',
    )
    shared.add_argument(
        '--private',
        dest='is_public',
        action='store_false',
        help='for its owner, and those with whom it is shared',
    )
    parser.add_argument(
        '--share',
        dest='access',
        action='append',
        metavar='PROJECT',
        help='UUID of a project that may use a private one; may be repeated',
    )


_FIELDS = (
    'match',
    'description',
    'vnic_type',
    'numa_policy',
    'state',
    'is_public',
    'access',
)


def _given(parsed_args: argparse.Namespace) -> dict[str, Any]:
    return {
        name: getattr(parsed_args, name)
        for name in _FIELDS
        if getattr(parsed_args, name) is not None
    }


_SHORT: dict[str, Callable[[objects.PciFlavor], Any]] = {
    'UUID': lambda flavor: flavor.uuid,
    'Name': lambda flavor: flavor.name,
    'Match': lambda flavor: words.Match(flavor.match),
    'vNIC Type': lambda flavor: words.OrDash(flavor.vnic_type),
    'NUMA Policy': lambda flavor: words.OrDash(flavor.numa_policy),
    'Public': lambda flavor: flavor.is_public,
    'State': lambda flavor: flavor.state,
}

_LONG: dict[str, Callable[[objects.PciFlavor], Any]] = {
    **_SHORT,
    'Owner': lambda flavor: words.OrDash(flavor.project_id),
    'Shared With': lambda flavor: words.Names(flavor.access),
    'Description': lambda flavor: words.OrDash(flavor.description),
}

_ONE: dict[str, Callable[[objects.PciFlavor], Any]] = {
    'uuid': lambda flavor: flavor.uuid,
    'name': lambda flavor: flavor.name,
    'description': lambda flavor: words.OrDash(flavor.description),
    'match': lambda flavor: words.Match(flavor.match),
    'vnic_type': lambda flavor: words.OrDash(flavor.vnic_type),
    'numa_policy': lambda flavor: words.OrDash(flavor.numa_policy),
    'is_public': lambda flavor: flavor.is_public,
    'project_id': lambda flavor: words.OrDash(flavor.project_id),
    'access': lambda flavor: words.Names(flavor.access),
    'state': lambda flavor: flavor.state,
    'generation': lambda flavor: flavor.generation,
}


def _show(
    flavor: objects.PciFlavor,
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    return tuple(_ONE), tuple(get(flavor) for get in _ONE.values())


class Create(show_one.ShowOne):
    """Create a PCI flavor."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the fields."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', help='what requests will say')
        parser.add_argument(
            '--match',
            action='append',
            type=match.parse,
            required=True,
            help=match.HELP,
        )
        parser.add_argument(
            '--project',
            metavar='PROJECT',
            help='UUID of the owner (default: the operator)',
        )
        _add_fields(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Create and show it."""
        return _show(
            editing.create(
                context.of(self).writer,
                parsed_args.name,
                parsed_args.project,
                **_given(parsed_args),
            )
        )


class List(lister.Lister):
    """List PCI flavors."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take how much."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--long', action='store_true', help='show more columns'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and rows."""
        return words.table(
            _LONG if parsed_args.long else _SHORT,
            lookup.get_all(context.of(self).database),
        )


class Show(show_one.ShowOne):
    """Show a PCI flavor."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', help='name or UUID')
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return names and values."""
        return _show(lookup.get(context.of(self).database, parsed_args.name))


class Set(show_one.ShowOne):
    """Change a PCI flavor; what instances hold by it stays theirs.

    What is given replaces what was there, lists as a whole.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the new values."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', help='name or UUID')
        parser.add_argument('--name', dest='new_name', help='a new name')
        parser.add_argument(
            '--match', action='append', type=match.parse, help=match.HELP
        )
        _add_fields(parser)
        for name, text in (
            ('vnic-type', 'its NICs get direct'),
            ('numa-policy', 'leave the NUMA policy to the request'),
            ('share', 'share it with no project'),
        ):
            parser.add_argument(f'--no-{name}', action='store_true', help=text)
        parser.add_argument(
            '--force',
            action='store_true',
            help='also if it then does not match a device that an instance '
            'has by it; the instance keeps the device, but may get none when '
            'it is moved',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change and show it."""
        changes = _given(parsed_args)
        for name, nothing in (
            ('vnic_type', None),
            ('numa_policy', None),
            ('share', []),
        ):
            if getattr(parsed_args, f'no_{name}'):
                changes['access' if name == 'share' else name] = nothing
        if parsed_args.new_name is not None:
            changes['name'] = parsed_args.new_name
        if not changes:
            raise exception.Invalid('nothing to change was given')
        return _show(
            editing.update(
                context.of(self).writer,
                parsed_args.name,
                changes,
                force=parsed_args.force,
            )
        )


class Delete(command.Command):
    """Delete PCI flavors.

    One by which an instance has devices is better disabled, with "flavor set
    --state disabled": Nova asks for it by name when it moves the instance.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which ones."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'names', nargs='+', metavar='name', help='name or UUID'
        )
        parser.add_argument(
            '--force',
            action='store_true',
            help='also if instances have devices by it: they keep them, but '
            'cannot be moved; its name is free when the last device is',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete them one by one; the first that cannot go ends it."""
        for name in parsed_args.names:
            held = editing.delete(
                context.of(self).writer, name, force=parsed_args.force
            )
            if held:
                self.app.stderr.write(
                    f'{name}: {held} device(s) are still held by it; its '
                    'name is free when the last of them is.\n'
                )
