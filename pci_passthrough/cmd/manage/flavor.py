# SPDX-License-Identifier: Apache-2.0
"""``flavor …``: commands of ``openstack pci flavor``, for the operator.

In this program a PCI flavor belongs to nobody by default, ``create`` and
``set`` show it, and ``set --share`` replaces the list of projects.
"""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from pci_passthrough.cmd.manage import show_one
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import pci_flavor
from pci_passthrough.osc.v1 import pci_flavor_deletion
from pci_passthrough.sdk import base as sdk_base

_SHORT: columns.Columns = {
    'UUID': columns.field('uuid'),
    'Name': columns.field('name'),
    'Match': columns.field('match', columns.Match),
    'vNIC Type': columns.field('vnic_type', columns.OrDash),
    'NUMA Policy': columns.field('numa_policy', columns.OrDash),
    'Public': columns.field('is_public'),
    'State': columns.field('state'),
}

_LONG: columns.Columns = {
    **_SHORT,
    'Owner': columns.field('project_id', columns.OrDash),
    'Shared With': columns.field('access', columns.Names),
    'Description': columns.field('description', columns.OrDash),
}

_SHOW_COLUMNS: columns.Formatters = {
    name: pci_flavor.SHOW_COLUMNS[name]
    for name in (
        'uuid', 'name', 'description', 'match', 'vnic_type', 'numa_policy',
        'is_public', 'project_id', 'access', 'state', 'generation',
    )
}  # fmt: skip


class Create(show_one.CsvFormat, pci_flavor.Create):
    """Create a PCI flavor: a name for devices that users can request."""

    show_columns = _SHOW_COLUMNS
    owner_help = 'UUID of the owner (default: the operator)'

    def values(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the fields of the new PCI flavor."""
        return {'project_id': None, **super().values(parsed_args)}


class List(pci_flavor.List):
    """List PCI flavors."""

    short_columns = _SHORT
    long_columns = _LONG

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return PCI flavors, without their availability."""
        return self.service.pci_flavors(**query)


class Show(show_one.CsvFormat, pci_flavor.Show):
    """Show a PCI flavor."""

    show_columns = _SHOW_COLUMNS


class Set(show_one.CsvFormat, pci_flavor.Set):
    """Change a PCI flavor; instances keep the devices they hold through it.

    New values replace the old ones, and new lists replace whole lists.
    """

    share_help = 'share the PCI flavor only with the projects given here'

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add options that remove values."""
        parser = super().get_parser(prog_name)
        for name, text in (
            ('vnic-type', 'remove the vnic_type: NICs get direct'),
            (
                'numa-policy',
                'remove the NUMA policy: that of the request applies',
            ),
        ):
            parser.add_argument(f'--no-{name}', action='store_true', help=text)
        return parser

    def changes(
        self, parsed_args: argparse.Namespace, flavor: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the new values for the PCI flavor that was read."""
        changes = super().changes(parsed_args, {**flavor, 'access': []})
        for name in ('vnic_type', 'numa_policy'):
            if getattr(parsed_args, f'no_{name}'):
                changes[name] = None
        return changes

    def changed(self, flavor: Mapping[str, Any]) -> base.Output:
        """Return names and values of the changed PCI flavor."""
        return columns.show(_SHOW_COLUMNS, flavor)


class Delete(pci_flavor_deletion.PciFlavorDelete):
    """Delete PCI flavors.

    A PCI flavor that instances hold devices through is only deleted with
    --force. Better disable it, with "flavor set --state disabled": Nova
    requests it by its name when it moves an instance.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Delete the PCI flavors; stop at the first error."""
        if parsed_args.dry_run:
            return super().take_action(parsed_args)
        for name in parsed_args.pci_flavors:
            held = 0
            if parsed_args.force:
                effect = self.service.preview_delete_pci_flavor(
                    name, force=True
                )
                held = (effect.requests or {})['stranded']
            self.service.delete_pci_flavor(
                name, ignore_missing=False, force=parsed_args.force
            )
            if held:
                self.app.stderr.write(
                    f'{name}: {held} device(s) are still held by it; its '
                    'name is free when the last of them is.\n'
                )
        return base.NOTHING
