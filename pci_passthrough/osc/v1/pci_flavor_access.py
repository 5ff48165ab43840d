# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor access …``: with whom one is shared."""

import argparse

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import options


class _OneProject(base.Command):
    """Takes a PCI flavor and a project."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take both."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'pci_flavor', metavar='<pci-flavor>', help='name or UUID'
        )
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
        """Share it."""
        self.service.add_access(
            parsed_args.pci_flavor, self.project_of(parsed_args)
        )


class Remove(_OneProject):
    """Share a PCI flavor with a project no longer.

    What the project's instances hold stays theirs. Nothing happens if it was
    not shared with the project.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Share it no longer."""
        self.service.remove_access(
            parsed_args.pci_flavor, self.project_of(parsed_args)
        )


class List(base.Lister):
    """List the projects that a PCI flavor is shared with."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which one."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'pci_flavor', metavar='<pci-flavor>', help='name or UUID'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return a column and rows."""
        projects = self.service.access(parsed_args.pci_flavor)
        return ('Project',), [(project,) for project in sorted(projects)]
