# SPDX-License-Identifier: Apache-2.0
"""``flavor …``: PCI flavors, until the REST API serves them."""

import argparse
from collections.abc import Iterator
import json
from typing import Any

from cliff import command
from cliff import lister
from cliff import show

from pci_passthrough import objects
from pci_passthrough.cmd.manage import words
from pci_passthrough.objects import fields
from pci_passthrough.store import pci_flavors

_MATCH_HELP = """
what a device must be: KEY=VALUE,KEY=VALUE (all of them), or a JSON object,
which also takes lists (any of). Keys: vendor_id, product_id,
subsystem_vendor_id, subsystem_id, class, dev_type, driver, numa_node,
e.TAG for extra info. Repeat it for alternatives
"""


def _match(text: str) -> dict[str, Any]:
    """Turn an argument of ``--match`` into a term of the expression."""
    if text.startswith('{'):
        try:
            term = json.loads(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not JSON: {error}'
            ) from error
        return dict(term)
    term = {}
    for pair in text.split(','):
        key, equals, value = pair.partition('=')
        if not equals or key in term:
            raise argparse.ArgumentTypeError(
                f'{pair!r} is not KEY=VALUE with a key of its own; right '
                'would be, for example: vendor_id=8086,e.group=10g'
            )
        term[key] = value
    return term


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--description', help='a text for users')
    parser.add_argument(
        '--vnic-type',
        choices=fields.VnicType.ALL,
        help='for use on a NIC; without it the PCI flavor is not for NICs',
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
        help='let this project use a private one; may be repeated',
    )


def _given(parsed_args: argparse.Namespace) -> dict[str, Any]:
    names = (
        'match',
        'description',
        'vnic_type',
        'numa_policy',
        'state',
        'is_public',
        'access',
    )
    return {
        name: getattr(parsed_args, name)
        for name in names
        if getattr(parsed_args, name) is not None
    }


def _show(
    flavor: objects.PciFlavor,
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    values: dict[str, Any] = {
        name: words.OrDash(getattr(flavor, name))
        for name in (
            'uuid',
            'name',
            'description',
            'match',
            'vnic_type',
            'numa_policy',
            'is_public',
            'project_id',
            'access',
            'state',
            'generation',
        )
    }
    values['match'] = words.Match(flavor.match)
    values['access'] = words.Names(flavor.access)
    return tuple(values), tuple(values.values())


class Create(show.ShowOne):
    """Create a PCI flavor."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the fields."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name')
        parser.add_argument(
            '--match',
            action='append',
            type=_match,
            required=True,
            help=_MATCH_HELP,
        )
        parser.add_argument(
            '--project', help='the owner (default: the operator)'
        )
        _add_fields(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Create and show it."""
        return _show(
            pci_flavors.create(
                self.app.database,
                parsed_args.name,
                parsed_args.project,
                **_given(parsed_args),
            )
        )


class List(lister.Lister):
    """List PCI flavors."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return columns and rows."""
        return (
            (
                'UUID',
                'Name',
                'Match',
                'vNIC Type',
                'NUMA Policy',
                'Public',
                'State',
            ),
            (
                (
                    flavor.uuid,
                    flavor.name,
                    words.Match(flavor.match),
                    words.OrDash(flavor.vnic_type),
                    words.OrDash(flavor.numa_policy),
                    flavor.is_public,
                    flavor.state,
                )
                for flavor in pci_flavors.get_all(self.app.database)
            ),
        )


class Show(show.ShowOne):
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
        return _show(pci_flavors.get(self.app.database, parsed_args.name))


class Set(show.ShowOne):
    """Change a PCI flavor; what instances hold by it stays theirs."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the new values."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', help='name or UUID')
        parser.add_argument('--name', dest='new_name', help='a new name')
        parser.add_argument(
            '--match', action='append', type=_match, help=_MATCH_HELP
        )
        _add_fields(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change and show it."""
        changes = _given(parsed_args)
        if parsed_args.new_name is not None:
            changes['name'] = parsed_args.new_name
        return _show(
            pci_flavors.update(self.app.database, parsed_args.name, changes)
        )


class Delete(command.Command):
    """Delete PCI flavors which nothing holds devices by."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which ones."""
        parser = super().get_parser(prog_name)
        parser.add_argument('names', nargs='+', metavar='name')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete them one by one; the first that cannot go ends it."""
        for name in parsed_args.names:
            pci_flavors.delete(self.app.database, name)
