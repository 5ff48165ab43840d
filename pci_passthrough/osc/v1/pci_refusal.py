# SPDX-License-Identifier: Apache-2.0
"""``openstack pci refusal …``."""

from collections.abc import Iterable
from collections.abc import Mapping
import functools
from typing import Any

from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options
from pci_passthrough.sdk import base as sdk_base

_QUERY_OPTIONS: options.QueryOptions = {
    'server': {'help': 'only refusals to this server (UUID)'},
    'pci_flavor': {
        'help': 'only refusals for want of the PCI flavor that had this name'
    },
    'since': {
        'help': 'only refusals at this time or later, in UTC, for example '
        '2026-11-30T12:00:00Z',
    },
}


def _reason(reason: Mapping[str, Any]) -> str:
    """Return a reason in one line."""
    if 'hosts' in reason:
        hosts = reason['hosts']
        return f'{hosts} host{"s" if hosts > 1 else ""}: {reason["text"]}'
    if reason['pci_flavor']:
        return f'{reason["pci_flavor"]}: {reason["text"]}'
    return str(reason['text'])


def _hosts(reasons: Iterable[Mapping[str, Any]]) -> columns.Lines:
    """Return the names of some hosts, one line for each reason."""
    return columns.Lines(
        [reason.get('some_hosts', ()) for reason in reasons], ', '.join
    )


_SHORT: columns.Columns = {
    'Created At': columns.field('created_at'),
    'Server': columns.field('server'),
    'Requests': columns.field('requests', columns.OrDash),
    'Reasons': columns.field(
        'reasons', functools.partial(columns.Lines, line=_reason)
    ),
}

_LONG: columns.Columns = {
    'ID': columns.field('id'),
    **_SHORT,
    'Project': columns.field('project_id', columns.OrDash),
    'Hosts Left': columns.field('passed', columns.OrDash),
    'Some Hosts': columns.field('reasons', _hosts),
}


class List(listing.Lister):
    """List why Nova's scheduler refused hosts to servers, newest first.

    Administrators get the numbers of hosts and some of their names, also if
    other hosts were left. Other users get the reasons why servers of their
    project found no host.
    """

    query_options = _QUERY_OPTIONS
    marker = 'ID'
    short_columns = _SHORT
    long_columns = _LONG

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return refusals."""
        return self.service.refusals(**query)
