# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor …``: PCI flavors themselves."""

import argparse
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from osc_lib import exceptions

from pci_passthrough.osc import errors
from pci_passthrough.osc import match
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import effect
from pci_passthrough.osc.v1 import options
from pci_passthrough.osc.v1 import pci_flavor_options

_SHORT: columns.Layout = {
    'UUID': ('uuid', columns.as_is),
    'Name': ('name', columns.as_is),
    'Availability': ('availability', columns.OrDash),
    'vNIC Type': ('vnic_type', columns.OrDash),
    'State': ('state', columns.as_is),
    'Description': ('description', columns.OrDash),
}

_LONG: columns.Layout = {
    **_SHORT,
    'Match': ('match', columns.Match),
    'NUMA Policy': ('numa_policy', columns.OrDash),
    'Public': ('is_public', columns.as_is),
    'Project': ('project_id', columns.OrDash),
    'Access': ('access', columns.Names),
    'Created At': ('created_at', columns.OrDash),
    'Updated At': ('updated_at', columns.OrDash),
}

_LOOKS: Mapping[str, Callable[[Any], Any]] = {
    'uuid': columns.as_is,
    'name': columns.as_is,
    'description': columns.OrDash,
    'match': columns.Match,
    'vnic_type': columns.OrDash,
    'numa_policy': columns.OrDash,
    'is_public': columns.as_is,
    'state': columns.as_is,
    'project_id': columns.OrDash,
    'access': columns.Names,
    'generation': columns.as_is,
    'created_at': columns.OrDash,
    'updated_at': columns.OrDash,
}

_FILTERS: Mapping[str, Mapping[str, Any]] = {
    'name': {'help': 'only this one'},
    'state': {
        'action': 'append',
        'choices': pci_flavor_options.STATES,
        'help': 'only those in this state: active, deprecated or '
        'disabled (repeat for more than one)',
    },
    'vnic_type': {
        'choices': pci_flavor_options.VNIC_TYPES,
        'help': 'only those for NICs of this type: '
        + ', '.join(pci_flavor_options.VNIC_TYPES),
    },
}

_FORCE_SET = (
    'change the match expression even if it leaves out devices that are held '
    'through the PCI flavor; their instances keep them'
)
_FORCE_DELETE = (
    'delete even what devices are held through: nobody gets one by it any '
    'more, instances keep what they have, and the name stays taken until '
    'the last of them is free'
)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'pci_flavor', metavar='<pci-flavor>', help='name or UUID'
    )


def _access(flavor: Mapping[str, Any]) -> list[str]:
    """Return the projects that a PCI flavor is shared with.

    :raises osc_lib.exceptions.CommandError: if it is not for this user's
        eyes: a list that is not known cannot be replaced.
    """
    if 'access' not in flavor:
        raise exceptions.CommandError(
            f'PCI flavor {flavor["name"]} does not show you with whom it is '
            'shared: use "openstack pci flavor access add" and "remove"'
        )
    return list(flavor['access'])


class Create(base.ShowOne):
    """Create a PCI flavor: a name for devices that users may ask for."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the fields."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'name', metavar='<name>', help='what requests will say'
        )
        pci_flavor_options.add_match(parser, required=True)
        pci_flavor_options.add_fields(parser)
        pci_flavor_options.add_share(
            parser, 'a project that may use a private one'
        )
        parser.add_argument(
            '--project',
            metavar='<project>',
            help='the owner (name or UUID; default: your project)',
        )
        options.add_effect(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Create and show it, or show what it would be like."""
        values = {
            'name': parsed_args.name,
            **pci_flavor_options.given(parsed_args),
        }
        if parsed_args.share:
            values['access'] = pci_flavor_options.projects(self, parsed_args)
        if parsed_args.project:
            values['project_id'] = self.project_id(
                parsed_args.project, parsed_args.project_domain
            )
        answer = self.service.create_pci_flavor(values, parsed_args.dry_run)
        if parsed_args.dry_run:
            return effect.one(answer)
        return columns.one(_LOOKS, answer)


class List(base.Lister):
    """List the PCI flavors that you may use.

    Availability is none, low or ok: whether one device could be had now. Of
    a disabled one, which takes no new requests, it is none.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take filters and order."""
        parser = super().get_parser(prog_name)
        options.add_filters(parser, _FILTERS)
        public = parser.add_mutually_exclusive_group()
        public.add_argument(
            '--public',
            dest='is_public',
            action='store_true',
            default=None,
            help='only those for all projects',
        )
        public.add_argument(
            '--private',
            dest='is_public',
            action='store_false',
            help='only those that are not for all projects',
        )
        parser.add_argument(
            '--project',
            metavar='<project>',
            help='only those of this owner (name or UUID; for an '
            'administrator)',
        )
        options.add_project_domain(parser)
        options.add_long(parser)
        parser.add_argument(
            '--sort',
            metavar='<key>[:<direction>]',
            help='order: name, state, created_at, updated_at or uuid, each '
            'with :asc (default) or :desc; several with commas between',
        )
        options.add_paging(parser, 'name or UUID')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        query = options.query(parsed_args, _FILTERS, 'is_public', 'sort')
        if parsed_args.project:
            query['project_id'] = self.project_id(
                parsed_args.project, parsed_args.project_domain
            )
        found = self.service.pci_flavors(
            {**query, 'availability': True}, parsed_args.limit
        )
        return columns.table(_LONG if parsed_args.long else _SHORT, found)


class Show(base.ShowOne):
    """Show a PCI flavor."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return names and values."""
        flavor, _ = self.service.pci_flavor(parsed_args.pci_flavor)
        return columns.one(_LOOKS, flavor)


class _Change(base.Quiet, base.ShowOne):
    """Reads a PCI flavor, and changes what was read and nothing newer."""

    def change(
        self,
        parsed_args: argparse.Namespace,
        changes_of: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> base.Output:
        """Make the changes, or show what they would do.

        :param changes_of: what to change in the PCI flavor that was read.
        """
        name = parsed_args.pci_flavor
        flavor, etag = self.service.pci_flavor(name)
        changes = changes_of(flavor)
        if not changes:
            raise exceptions.CommandError('nothing to change was given')
        answer = self.service.update_pci_flavor(
            # The name may be another one's in the next moment.
            flavor['uuid'],
            etag,
            changes,
            getattr(parsed_args, 'force', False),
            parsed_args.dry_run,
        )
        return effect.one(answer) if parsed_args.dry_run else base.NOTHING


class Set(_Change):
    """Change a PCI flavor; what instances hold through it stays theirs.

    If somebody else changes it in the same moment, the command fails and
    changes nothing.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take the new values."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        parser.add_argument(
            '--name',
            metavar='<name>',
            help='a new name; refused while devices are held through it, for '
            'Nova asks again by the old one when an instance moves',
        )
        pci_flavor_options.add_match(
            parser,
            help=f'replaces the whole match expression: {match.HELP}',
        )
        pci_flavor_options.add_fields(parser)
        pci_flavor_options.add_share(parser, 'share it with this project, too')
        parser.add_argument(
            '--no-share',
            action='store_true',
            help='share it with nobody; with --share, with these projects '
            'instead of those before',
        )
        options.add_effect(parser, _FORCE_SET)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Read, and change."""

        def changes_of(flavor: dict[str, Any]) -> dict[str, Any]:
            changes = pci_flavor_options.given(parsed_args)
            if parsed_args.name is not None:
                changes['name'] = parsed_args.name
            if parsed_args.share or parsed_args.no_share:
                kept = [] if parsed_args.no_share else _access(flavor)
                wanted = [
                    *kept,
                    *pci_flavor_options.projects(self, parsed_args),
                ]
                changes['access'] = list(dict.fromkeys(wanted))
            return changes

        return self.change(parsed_args, changes_of)


class Unset(_Change):
    """Take something away from a PCI flavor."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take what."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        for name, text in (
            ('description', 'no text for users any more'),
            ('vnic-type', 'its NICs get direct'),
            ('numa-policy', 'leave the NUMA policy to the request'),
        ):
            parser.add_argument(f'--{name}', action='store_true', help=text)
        pci_flavor_options.add_share(
            parser, 'share it with this project no longer'
        )
        options.add_effect(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Read, and change."""

        def changes_of(flavor: dict[str, Any]) -> dict[str, Any]:
            changes: dict[str, Any] = {
                name: None
                for name in ('description', 'vnic_type', 'numa_policy')
                if getattr(parsed_args, name)
            }
            if parsed_args.share:
                gone = pci_flavor_options.projects(self, parsed_args)
                changes['access'] = [
                    project
                    for project in _access(flavor)
                    if project not in gone
                ]
            return changes

        return self.change(parsed_args, changes_of)


class Delete(base.Quiet, base.Lister):
    """Delete PCI flavors.

    What devices are held through is refused unless forced. To disable it
    (set --state disabled) is the gentler way.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which ones."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'pci_flavors',
            nargs='+',
            metavar='<pci-flavor>',
            help='name or UUID (one or more)',
        )
        options.add_effect(parser, _FORCE_DELETE)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Delete one after the other, whatever becomes of the others."""
        effects, failures = {}, 0
        for name in parsed_args.pci_flavors:
            try:
                if parsed_args.dry_run:
                    effects[name] = self.service.deletion_effect(
                        name, parsed_args.force
                    )
                else:
                    self.service.delete_pci_flavor(name, parsed_args.force)
            except errors.RequestFailed as error:
                failures += 1
                self.log.error(
                    'Failed to delete PCI flavor with name or UUID %r: %s',
                    name,
                    error,
                )
        if failures:
            total = len(parsed_args.pci_flavors)
            raise exceptions.CommandError(
                f'{failures} of {total} PCI flavors failed to delete.'
            )
        return effect.table(effects) if effects else base.NOTHING
