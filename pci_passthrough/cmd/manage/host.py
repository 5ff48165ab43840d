# SPDX-License-Identifier: Apache-2.0
"""``host …``: which hosts report."""

import argparse
from collections.abc import Iterator
from typing import Any

from cliff import lister

from pci_passthrough.store import hosts


class List(lister.Lister):
    """List hosts, their last report, and whether they are offered."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return columns and rows."""
        found = hosts.get_all(self.app.database, self.app.policy.host_timeout)
        return (
            (
                'Host',
                'State',
                'Devices',
                'Generation',
                'Agent Version',
                'Last Report At',
            ),
            (
                (
                    host.host,
                    'up' if host.is_up else 'down',
                    host.devices,
                    host.generation,
                    host.agent_version,
                    host.last_report_at.isoformat(timespec='seconds'),
                )
                for host in found
            ),
        )
