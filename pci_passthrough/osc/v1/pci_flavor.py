# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor …``: create, list, show, set, unset."""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

from pci_passthrough.osc import errors
from pci_passthrough.osc import match
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import effect
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options
from pci_passthrough.osc.v1 import pci_flavor_options
from pci_passthrough.osc.v1 import resources
from pci_passthrough.sdk import base as sdk_base

_SHORT: columns.Columns = {
    'UUID': columns.field('uuid'),
    'Name': columns.field('name'),
    'Availability': columns.field('availability', columns.OrDash),
    'vNIC Type': columns.field('vnic_type', columns.OrDash),
    'State': columns.field('state'),
    'Description': columns.field('description', columns.OrDash),
}

_LONG: columns.Columns = {
    **_SHORT,
    'Match': columns.field('match', columns.Match),
    'NUMA Policy': columns.field('numa_policy', columns.OrDash),
    'Public': columns.field('is_public'),
    'Project': columns.field('project_id', columns.OrDash),
    'Access': columns.field('access', columns.Names),
    'Origin': columns.field('origin', columns.OrDash),
    'Created At': columns.field('created_at', columns.OrDash),
    'Updated At': columns.field('updated_at', columns.OrDash),
}

SHOW_COLUMNS: columns.Formatters = {
    'uuid': columns.plain,
    'name': columns.plain,
    'description': columns.OrDash,
    'match': columns.Match,
    'vnic_type': columns.OrDash,
    'numa_policy': columns.OrDash,
    'is_public': columns.plain,
    'state': columns.plain,
    'project_id': columns.OrDash,
    'access': columns.Names,
    'origin': columns.plain,
    'aggregate_metadata': columns.Term,
    'generation': columns.plain,
    'created_at': columns.OrDash,
    'updated_at': columns.OrDash,
}

_QUERY_OPTIONS: options.QueryOptions = {
    'name': {'help': 'only this one'},
    'state': {
        'action': 'append',
        'choices': pci_flavor_options.STATES,
        'help': 'only those in this state: active, deprecated or '
        'disabled (repeat for more than one)',
    },
    'origin': {
        'choices': pci_flavor_options.ORIGINS,
        'help': 'only those of this origin, for an administrator: built-in, '
        'of which disabled ones are not listed without it, or group',
    },
    'vnic_type': {
        'choices': pci_flavor_options.VNIC_TYPES,
        'help': 'only those for NICs of this type: '
        + ', '.join(pci_flavor_options.VNIC_TYPES),
    },
    'sort': {
        'metavar': '<key>[:<direction>]',
        'help': 'order: name, state, created_at, updated_at or uuid, each '
        'with :asc (default) or :desc; separate several with commas',
    },
}

_FORCE_SET = (
    'change the match expression even if it no longer matches devices that '
    'instances hold through the PCI flavor; the instances keep them'
)


def shown(flavor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a PCI flavor without those that few of them have.

    What a person has made has no origin, and most serve any host.
    """
    return {
        name: value
        for name, value in flavor.items()
        if value is not None or name not in ('origin', 'aggregate_metadata')
    }


def _access(flavor: Mapping[str, Any]) -> list[str]:
    """Return the projects that a PCI flavor is shared with.

    :raises errors.ClientError: the user may not see them, so
        the command cannot replace the list.
    """
    if 'access' not in flavor:
        raise errors.ClientError(
            'you may not see the projects that PCI flavor '
            f'{flavor["name"]} is shared with: use "pci flavor access add" '
            'and "pci flavor access remove"'
        )
    return list(flavor['access'])


class Create(base.ShowOne):
    """Create a PCI flavor: a name for devices that users can request."""

    owner_help: ClassVar[str] = 'owner (name or UUID; default: your project)'
    show_columns: ClassVar[columns.Formatters] = SHOW_COLUMNS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the fields, and the owner."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'name', metavar='<name>', help='the name that requests will use'
        )
        pci_flavor_options.add_match(parser, required=True)
        pci_flavor_options.add_fields(parser)
        pci_flavor_options.add_share(
            parser, 'a project that may use a private PCI flavor'
        )
        parser.add_argument(
            '--project',
            metavar='<project>',
            help=self.owner_help,
        )
        options.add_effect(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Create and show the PCI flavor, or show the effect."""
        values = self.values(parsed_args)
        if parsed_args.dry_run:
            preview = self.service.preview_create_pci_flavor(**values)
            return effect.show(preview.fields())
        flavor = self.service.create_pci_flavor(**values).fields()
        self.warn(flavor)
        return columns.show(self.show_columns, shown(flavor))

    def values(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the fields of the new PCI flavor."""
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
        return values


class List(listing.Lister):
    """List the PCI flavors that you may use.

    Availability is none, low or ok, for a request of one device now. A
    disabled PCI flavor takes no new requests, so its availability is none.
    """

    query_options = _QUERY_OPTIONS
    marker = 'name or UUID'
    short_columns = _SHORT
    long_columns = _LONG

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options for visibility and owner."""
        parser = super().get_parser(prog_name)
        options.add_visibility(
            parser,
            public='only those for all projects',
            private='only those that are not for all projects',
        )
        parser.add_argument(
            '--project',
            metavar='<project>',
            help='only those of this owner (name or UUID; for an '
            'administrator)',
        )
        options.add_project_domain(parser)
        return parser

    def query(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the query that the user's options describe."""
        query = {
            **super().query(parsed_args),
            **options.given(parsed_args, 'is_public'),
        }
        if parsed_args.project:
            query['project_id'] = self.project_id(
                parsed_args.project, parsed_args.project_domain
            )
        return query

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return PCI flavors."""
        return self.service.pci_flavors(availability=True, **query)


class Show(base.ShowOne):
    """Show a PCI flavor: what its devices are, and how much is left.

    Availability is none, low or ok, for a request of one device now.
    """

    show_columns: ClassVar[columns.Formatters] = {
        **SHOW_COLUMNS,
        **resources.SHOW_COLUMNS,
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return names and values."""
        flavor = self.service.get_pci_flavor(parsed_args.pci_flavor)
        supply = resources.of_pci_flavor(self.service, flavor)
        fields = flavor.fields()
        self.warn(fields)
        return columns.show(self.show_columns, shown(fields) | supply)


class _Change(base.Quiet, base.ShowOne):
    """Base of the commands that change a PCI flavor.

    They read it first, and change no newer version than the one they read.
    """

    def change(
        self,
        parsed_args: argparse.Namespace,
        changes_of: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> base.Output:
        """Change the PCI flavor, or show the effect.

        :param changes_of: returns the new values for the PCI flavor that was
            read.
        """
        service = self.service
        flavor = service.get_pci_flavor(parsed_args.pci_flavor)
        changes = changes_of(flavor.fields())
        if not changes:
            raise errors.ClientError('nothing to change was given')
        force = getattr(parsed_args, 'force', False)
        if parsed_args.dry_run:
            preview = service.preview_update_pci_flavor(
                flavor, force, **changes
            )
            return effect.show(preview.fields())
        changed = service.update_pci_flavor(flavor, force, **changes).fields()
        self.warn(changed)
        return self.changed(changed)

    def changed(self, flavor: Mapping[str, Any]) -> base.Output:
        """Return the output after a change: there is none."""
        return base.NOTHING


class Set(_Change):
    """Change a PCI flavor; instances keep the devices they hold through it.

    If another user changes the PCI flavor at the same moment, the command
    fails and changes nothing.
    """

    share_help: ClassVar[str] = 'share the PCI flavor with this project, too'

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the new values."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        parser.add_argument(
            '--name',
            metavar='<name>',
            help='a new name; refused while instances hold devices through '
            'the PCI flavor, because Nova requests it by the old name when '
            'an instance moves',
        )
        pci_flavor_options.add_match(
            parser,
            help=f'replaces the whole match expression: {match.HELP}',
        )
        pci_flavor_options.add_fields(parser)
        pci_flavor_options.add_share(parser, self.share_help)
        parser.add_argument(
            '--no-share',
            action='store_true',
            help='share the PCI flavor with no project; together with '
            '--share: only with the projects given there',
        )
        options.add_effect(parser, _FORCE_SET)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Read and change the PCI flavor."""
        return self.change(
            parsed_args, lambda flavor: self.changes(parsed_args, flavor)
        )

    def changes(
        self, parsed_args: argparse.Namespace, flavor: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the new values for the PCI flavor that was read."""
        changes = {
            **pci_flavor_options.given(parsed_args),
            **options.given(parsed_args, 'name'),
        }
        if parsed_args.share or parsed_args.no_share:
            before = [] if parsed_args.no_share else _access(flavor)
            added = pci_flavor_options.projects(self, parsed_args)
            changes['access'] = list(dict.fromkeys([*before, *added]))
        return changes


class Unset(_Change):
    """Remove optional values of a PCI flavor."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add an option for each value that can be removed."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        for name, text in (
            ('description', 'remove the text for users'),
            ('vnic-type', 'remove the vnic_type: NICs get direct'),
            (
                'numa-policy',
                'remove the NUMA policy: that of the request applies',
            ),
            (
                'aggregate-metadata',
                'restrict it to no host aggregates any more',
            ),
        ):
            parser.add_argument(f'--{name}', action='store_true', help=text)
        pci_flavor_options.add_share(
            parser, 'stop sharing the PCI flavor with this project'
        )
        options.add_effect(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Read and change the PCI flavor."""

        def changes_of(flavor: dict[str, Any]) -> dict[str, Any]:
            changes: dict[str, Any] = {
                name: None
                for name in (
                    'description',
                    'vnic_type',
                    'numa_policy',
                    'aggregate_metadata',
                )
                if getattr(parsed_args, name)
            }
            if parsed_args.share:
                removed = pci_flavor_options.projects(self, parsed_args)
                changes['access'] = [
                    project
                    for project in _access(flavor)
                    if project not in removed
                ]
            return changes

        return self.change(parsed_args, changes_of)
