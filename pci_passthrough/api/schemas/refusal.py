# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about refusals of Nova's scheduler."""

from pci_passthrough.api.schemas import base

#: ``condition``: of :ref:`understanding-a-refusal`. ``hosts`` and
#: ``some_hosts`` are for those who may see hosts.
_REASON = base.closed(
    {
        'condition': base.nullable(base.STRING),
        'pci_flavor': base.nullable(base.STRING),
        'text': base.STRING,
        'hosts': base.COUNT,
        'some_hosts': {'type': 'array', 'items': base.STRING},
    },
    optional=['hosts', 'some_hosts'],
)

#: ``id`` is the marker. ``passed`` is how many hosts were left; it and
#: ``requests`` are for those who may see hosts.
_REFUSAL = base.closed(
    {
        'id': base.STRING,
        'created_at': base.TIME,
        'server': base.UUID,
        'project_id': base.nullable(base.STRING),
        'requests': base.STRING,
        'reasons': {'type': 'array', 'items': _REASON},
        'passed': base.nullable(base.COUNT),
    },
    optional=['requests', 'passed'],
)

LISTED = base.page('refusals', _REFUSAL)

LIST_QUERY = {
    'server': base.WORD,
    'pci_flavor': {
        **base.WORD,
        'description': 'The name that a PCI flavor had: only refusals for '
        'want of it.',
    },
    'since': {
        **base.WORD,
        'description': 'A time in UTC, such as 2026-11-30T12:00:00Z: only '
        'refusals at this time or later.',
    },
    'limit': base.LIMIT,
    'marker': base.WORD,
}
