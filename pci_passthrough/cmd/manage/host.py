# SPDX-License-Identifier: Apache-2.0
"""``host …``: which hosts report."""

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
}


class List(lister.Lister):
    """List hosts, their last report (UTC), and whether they are offered."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and rows."""
        app = context.of(self)
        return words.table(
            _COLUMNS, hosts.get_all(app.database, app.policy.host_timeout)
        )
