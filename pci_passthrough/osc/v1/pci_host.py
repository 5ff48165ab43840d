# SPDX-License-Identifier: Apache-2.0
"""``openstack pci host …``."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options

_QUERY_OPTIONS: options.QueryOptions = {
    'host': {'help': 'only this host'},
    'state': {
        'choices': ('up', 'down'),
        'help': 'only hosts whose agent is up, or down',
    },
}

_SHORT: columns.Columns = {
    'Host': columns.field('host'),
    'State': columns.field('state'),
    'Tracker State': columns.field('tracker_state'),
    'Devices': columns.field('devices'),
    'Last Report At': columns.field('last_report_at', columns.OrDash),
}

_LONG: columns.Columns = {
    **_SHORT,
    'Generation': columns.field('generation'),
    'Agent Version': columns.field('agent_version', columns.OrDash),
    'Tracker Version': columns.field('tracker_version', columns.OrDash),
    'Tracker Seen At': columns.field('tracker_seen_at', columns.OrDash),
}


class List(listing.Lister):
    """List compute hosts that report devices.

    A host's devices are available only while both its agent (State) and the
    resource tracker in its nova-compute (Tracker State) are up.
    """

    query_options = _QUERY_OPTIONS
    marker = 'name'
    short_columns = _SHORT
    long_columns: ClassVar[columns.Columns | None] = _LONG

    def items(
        self, query: Mapping[str, Any], limit: int | None
    ) -> Iterable[Mapping[str, Any]]:
        """Return hosts."""
        return self.service.hosts(query, limit)
