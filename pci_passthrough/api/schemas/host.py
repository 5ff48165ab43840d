# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about hosts."""

from pci_passthrough.api.schemas import base

_STATE = base.choice(['up', 'down'])

SHOWN = base.closed(
    {
        'host': base.STRING,
        'state': _STATE,
        'agent_version': base.STRING,
        'generation': {'type': 'integer'},
        'last_report_at': base.TIME,
        'devices': base.COUNT,
        'tracker_state': base.choice(['up', 'down', 'never']),
        'tracker_version': base.nullable(base.STRING),
        'tracker_seen_at': base.nullable(base.TIME),
    }
)

LISTED = base.page('hosts', SHOWN)

LIST_QUERY = {
    'host': base.WORD,
    'state': _STATE,
    'limit': base.LIMIT,
    'marker': base.WORD,
}

DELETE_QUERY = {
    'force': {
        **base.BOOLEAN,
        'description': 'Forget the host although instances hold devices of '
        'it, or some are not fit for another instance. Needs a reason.',
    },
    'reason': {
        **base.WORD,
        'description': 'Why, for the history of the devices.',
    },
}
