# SPDX-License-Identifier: Apache-2.0
"""``host …``: which hosts report, and where Nova takes requests."""

import argparse
from collections.abc import Callable
from typing import Any

from cliff import lister

from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import words
from pci_passthrough.store import hosts

_COLUMNS: dict[str, Callable[[hosts.Host], Any]] = {
    'Host': lambda host: host.host,
    'State': lambda host: 'up' if host.is_up else 'down',
    'Devices': lambda host: host.devices,
    'Generation': lambda host: host.generation,
    'Agent Version': lambda host: host.agent_version,
    'Last Report At': lambda host: words.Time(host.last_report_at),
    'Tracker': lambda host: words.OrDash(_tracker(host)),
    'Tracker Version': lambda host: words.OrDash(host.tracker_version),
    'Tracker Seen At': lambda host: words.Time(host.tracker_seen_at),
}


def _tracker(host: hosts.Host) -> str | None:
    """Return the state of a resource tracker; None: there never was one."""
    if host.tracker_seen_at is None:
        return None
    return 'up' if host.tracker_is_up else 'down'


class List(lister.Lister):
    """List hosts: agent and resource tracker, and whether they are up.

    Times are UTC. Nova's scheduler is offered a host only while both are up;
    ``claim`` needs the agent alone.
    """

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and rows."""
        app = context.of(self)
        return words.table(
            _COLUMNS,
            hosts.get_all(app.database, app.policy.limits),
        )
