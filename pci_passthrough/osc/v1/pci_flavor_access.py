# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor access …``: sharing with projects."""

import argparse

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import options


class _OneProject(base.Command):
    """Base of the commands for one PCI flavor and one project."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor and the project."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        parser.add_argument(
            'project', metavar='<project>', help='name or UUID'
        )
        options.add_project_domain(parser)
        return parser

    def project_of(self, parsed_args: argparse.Namespace) -> str:
        """Return the project's UUID."""
        return self.project_id(parsed_args.project, parsed_args.project_domain)


class Add(_OneProject):
    """Share a PCI flavor with a project."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Share the PCI flavor."""
        self.service.add_pci_flavor_access(
            parsed_args.pci_flavor, self.project_of(parsed_args)
        )


class Remove(_OneProject):
    """Stop sharing a PCI flavor with a project.

    The project's instances keep their devices. If the PCI flavor is not
    shared with the project, the command succeeds and changes nothing.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Stop sharing the PCI flavor."""
        self.service.remove_pci_flavor_access(
            parsed_args.pci_flavor, self.project_of(parsed_args)
        )


class List(base.Lister):
    """List the projects that a PCI flavor is shared with."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        options.add_pci_flavor(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return a column and rows."""
        projects = self.service.pci_flavor_access(parsed_args.pci_flavor)
        return ('Project',), [(project,) for project in sorted(projects)]
