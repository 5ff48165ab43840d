# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about the devices that projects use."""

from pci_passthrough.api.schemas import base

#: ``limit`` is null if there is none, or if it is not known now.
#: ``device_seconds`` is there if the query has a ``start``.
_USAGE = base.closed(
    {
        'project_id': base.STRING,
        'pci_flavor': base.closed(
            {
                'uuid': base.nullable(base.UUID),
                'name': base.nullable(base.STRING),
            }
        ),
        'used': base.COUNT,
        'limit': base.nullable(base.COUNT),
        'device_seconds': {'type': 'number', 'minimum': 0},
    },
    optional=['device_seconds'],
)

LISTED = base.page('usages', _USAGE)

LIST_QUERY = {
    'project_id': {
        **base.WORD,
        'description': 'Only this project; by default all that you may see.',
    },
    'pci_flavor': {
        **base.WORD,
        'description': 'UUID or name of a PCI flavor.',
    },
    'start': {
        **base.WORD,
        'description': 'A time in UTC, such as 2026-11-01T00:00:00Z: also '
        'tell for how many seconds devices were used from then on.',
    },
    'end': {
        **base.WORD,
        'description': 'The end of that period; by default now.',
    },
    'limit': base.LIMIT,
    'marker': base.WORD,
}
