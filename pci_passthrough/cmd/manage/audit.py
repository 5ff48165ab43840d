# SPDX-License-Identifier: Apache-2.0
"""``audit``: what instances hold, compared with what Nova knows."""

import argparse
from collections.abc import Callable
import sys
from typing import Any

from cliff import lister

from pci_passthrough import audit
from pci_passthrough import exception
from pci_passthrough import nova_api
from pci_passthrough.cmd import errors
from pci_passthrough.cmd.manage import context
from pci_passthrough.conf.nova_api import GROUP
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.services import auditing

_Row = tuple[audit.Difference, str]

_COLUMNS: dict[str, Callable[[_Row], Any]] = {
    'Host': lambda row: row[0].host,
    'Address': lambda row: columns.OrDash(row[0].address),
    'Instance': lambda row: row[0].instance,
    'Difference': lambda row: row[0].kind.value,
    'Meaning': lambda row: row[0].kind.meaning,
    'Result': lambda row: row[1],
}


class Audit(lister.Lister):
    """Compare the devices that instances hold with the servers of Nova.

    Nova is asked with the credentials in the group [nova] of the
    configuration. What differs is looked at a second time, so that what
    changes meanwhile is not reported. The exit status is 3 if differences are
    left.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the host, and ``--fix``."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--host', help='only devices and instances of this host'
        )
        parser.add_argument(
            '--fix',
            action='store_true',
            help='free the devices of instances that Nova does not have; '
            'other differences are only reported',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Compare, and return columns and rows."""
        app = context.of(self)
        servers = nova_api.Servers(app.conf)
        if not servers.is_configured:
            raise exception.InvalidConfiguration(
                f'the audit asks Nova for its servers, and [{GROUP}] '
                'auth_type is not set; right would be, for example: '
                f'[{GROUP}] auth_type = password, with the credentials of an '
                'administrator'
            )
        found = auditing.Audit(app.writer, servers, app.policy.bounds)
        rows = []
        self.left = 0
        for difference in found.differences(parsed_args.host):
            if parsed_args.fix and found.fix(difference, app.actor):
                rows.append((difference, 'freed'))
            else:
                rows.append((difference, difference.kind.remedy))
                self.left += 1
        return columns.table(_COLUMNS, rows)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the table, then a summary on standard error.

        :returns: 0 only if nothing differs any more.
        """
        super().run(parsed_args)
        print(f'{context.PROG}: {self.left} differences', file=sys.stderr)
        return errors.STATUS_OF_FINDINGS if self.left else 0
