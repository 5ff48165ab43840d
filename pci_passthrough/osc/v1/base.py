# SPDX-License-Identifier: Apache-2.0
"""Base classes of the commands."""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import cast

from openstack import exceptions as sdk_exceptions
from osc_lib.cli import identity
from osc_lib.command import command

from pci_passthrough.osc import errors
from pci_passthrough.sdk import proxy

#: Names of columns, and a row or rows.
Output = tuple[Sequence[str], Any]

NOTHING: Output = ((), ())


class Command(command.Command):
    """Base of all commands: has the service."""

    @property
    def service(self) -> proxy.Proxy:
        """The service; the plugin makes it when a command first needs it."""
        manager: Any = self.app.client_manager
        return cast(proxy.Proxy, manager.pci_passthrough)

    def warn(self, answer: Mapping[str, Any]) -> None:
        """Print the warnings of an answer, if any, to standard error."""
        for warning in answer.get('warnings', []):
            print(f'warning: {warning["text"]}', file=self.app.stderr)

    def project_id(self, name: str, domain: str | None) -> str:
        """Return the UUID of a project.

        A UUID is not looked up: there may be no Keystone, and not every user
        who may share with a project may look it up.

        :param name: name or UUID
        :param domain: name or UUID of the project's domain; None means any.
        """
        if _is_uuid(name):
            return name
        manager = self.app.client_manager
        if manager.auth_ref is None:
            raise errors.ClientError(
                f'give the UUID of project {name}: its name cannot be looked '
                'up without Keystone'
            )
        try:
            project = identity.find_project(
                manager.sdk_connection, name, domain
            )
        except sdk_exceptions.SDKException as error:
            raise errors.ClientError(
                f'Keystone does not know project {name}: {error}'
            ) from error
        if not _is_uuid(project.id):
            # When Keystone refuses the look-up, osc-lib returns the name as
            # the ID.
            raise errors.ClientError(
                f'Keystone does not let you look up project {name}: give '
                'its UUID'
            )
        return str(project.id)


class Lister(Command, command.Lister):
    """A command that shows a list."""


class ShowOne(Command, command.ShowOne):
    """A command that shows one item."""


class Quiet(Command):
    """Mixin of commands that have no output unless ``--dry-run`` is given.

    As everywhere in ``openstack``, a successful change prints nothing.
    """

    def produce_output(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
        data: Any,
    ) -> int:
        """Print the columns, if there are any, in the chosen format."""
        if not column_names:
            return 0
        printer = cast(command.ShowOne, super())
        return printer.produce_output(parsed_args, column_names, data)


def _is_uuid(text: str) -> bool:
    digits = text.replace('-', '')
    return len(digits) == 32 and all(
        digit in '0123456789abcdefABCDEF' for digit in digits
    )
