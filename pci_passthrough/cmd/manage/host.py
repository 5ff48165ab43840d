# SPDX-License-Identifier: Apache-2.0
"""``host …``: commands of ``openstack pci host``, for the operator."""

from typing import Any
from typing import ClassVar

from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import pci_host


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
