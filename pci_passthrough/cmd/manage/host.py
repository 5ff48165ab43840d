# SPDX-License-Identifier: Apache-2.0
"""``host …``: commands of ``openstack pci host``, for the operator."""

import argparse
from typing import Any
from typing import ClassVar

from cliff import command

from pci_passthrough.cmd.manage import context
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import pci_host
from pci_passthrough.store import host_changes


def _tracker_state(state: str) -> Any:
    """Return a formatted state; None means that it has never registered."""
    return columns.OrDash(None if state == 'never' else state)


_COLUMNS: columns.Columns = {
    'Host': columns.field('host'),
    'State': columns.field('state'),
    'Devices': columns.field('devices'),
    'Generation': columns.field('generation'),
    'Agent Version': columns.field('agent_version'),
    'Last Report At': columns.field('last_report_at', columns.OrDash),
    'Tracker': columns.field('tracker_state', _tracker_state),
    'Tracker Version': columns.field('tracker_version', columns.OrDash),
    'Tracker Seen At': columns.field('tracker_seen_at', columns.OrDash),
}


class List(pci_host.List):
    """List hosts: agent and resource tracker, and whether they are up.

    Times are UTC. Nova's scheduler only considers a host while both are up;
    "claim" only needs the agent.
    """

    short_columns = _COLUMNS
    long_columns: ClassVar[columns.Columns | None] = None


class Forget(pci_host.Delete):
    """Forget hosts that are gone, with their devices.

    Stop pci-passthrough-agent on the host before; it would bring the host
    back. The history of the devices is kept. A host of which instances hold
    devices, or with devices that are disabled, quarantined or not yet cleaned,
    is only forgotten with --force and a --reason.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Forget each host, even if others cannot be forgotten."""
        if len(parsed_args.hosts) > 1:
            super().take_action(parsed_args)
            return
        # Like the other commands, with an error of one line.
        [host] = parsed_args.hosts
        self.service.delete_pci_host(
            host, parsed_args.force, parsed_args.reason
        )


class Rename(command.Command):
    """Give a host another name, after its agent was stopped.

    Its devices keep owners, states and history. The host may have reported by
    the new name already, as long as nothing is held by this name.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add both names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('old', help='the name until now')
        parser.add_argument(
            'new', help='the name by which the agent and nova-compute report'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Rename the host."""
        app = context.of(self)
        host_changes.rename(
            app.writer,
            app.policy.limits,
            parsed_args.old,
            parsed_args.new,
            app.actor,
        )
