# SPDX-License-Identifier: Apache-2.0
"""What every command has."""

import argparse
from collections.abc import Sequence
from typing import Any
from typing import cast

from openstack import exceptions as sdk_exceptions
from osc_lib.cli import identity
from osc_lib.command import command

from pci_passthrough.osc import client
from pci_passthrough.osc import errors

#: Names of columns, and a row or rows.
Output = tuple[Sequence[str], Any]

NOTHING: Output = ((), ())


class Command(command.Command):
    """A command, with the service at hand."""

    @property
    def service(self) -> client.Client:
        """The client, which the plugin makes when it is first needed."""
        manager: Any = self.app.client_manager
        return cast(client.Client, manager.pci_passthrough)

    def project_id(self, name: str, domain: str | None) -> str:
        """Return the UUID of a project.

        A UUID is taken as it is: there may be no Keystone, and who may share
        with a project may not be allowed to look it up.

        :param domain: name or UUID of the project's domain, if given.
        """
        if _is_uuid(name):
            return name
        manager = self.app.client_manager
        if manager.auth_ref is None:
            raise errors.ClientError(
                f'project {name} has to be given by its UUID: you use a token '
                'and an endpoint without Keystone'
            )
        try:
            found = identity.find_project(manager.sdk_connection, name, domain)
        except sdk_exceptions.SDKException as error:
            raise errors.ClientError(
                f'Keystone does not know project {name}: {error}'
            ) from error
        if not _is_uuid(found.id):
            # What osc-lib makes up when Keystone refuses the look-up.
            raise errors.ClientError(
                f'Keystone does not let you look up project {name}: give '
                'its UUID'
            )
        return str(found.id)


class Lister(Command, command.Lister):
    """A command that shows a list."""


class ShowOne(Command, command.ShowOne):
    """A command that shows one thing."""


class Quiet(Command):
    """Shows something only if there is something to show.

    A change succeeds without a word, as everywhere in ``openstack``; its
    ``--dry-run`` has something to say.
    """

    def produce_output(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
        data: Any,
    ) -> int:
        """Print what there is, in the format that the user chose."""
        if not column_names:
            return 0
        printer = cast(command.ShowOne, super())
        return printer.produce_output(parsed_args, column_names, data)


def _is_uuid(text: str) -> bool:
    digits = text.replace('-', '')
    return len(digits) == 32 and all(
        digit in '0123456789abcdefABCDEF' for digit in digits
    )
