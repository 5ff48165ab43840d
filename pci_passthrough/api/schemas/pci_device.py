# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about devices."""

import itertools
from typing import Final

from pci_passthrough.api.schemas import base
from pci_passthrough.api.schemas import pci_pool
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle

_OPTIONAL_NUMBER = base.nullable({'type': 'integer'})
_OPTIONAL_STRING = base.nullable(base.STRING)

_SINCE_1_1 = (
    *pci_pool.ADDED['1.1'],
    'serial_number',
    'refusal',
    'conflict',
    'handlers',
    'on_failure',
    'preparation_step',
    'preparation_attempt',
    'preparation_since',
    'preparation_percent',
    'preparation_text',
    'quarantine_reason',
    'failed_starts',
    'start_failure',
)

#: Properties that microversion 1.2 has added.
SINCE_1_2 = ('pci_flavor',)

#: Properties that later microversions have added.
ADDED = {
    '1.1': _SINCE_1_1,
    '1.2': SINCE_1_2,
    '1.3': pci_pool.ADDED['1.3'],
}

#: Actions that microversion 1.1 has added.
ACTIONS_SINCE_1_1 = ('clean', 'resolve')

SHOWN = base.closed(
    {
        'uuid': base.UUID,
        'host': base.STRING,
        'address': base.STRING,
        'parent_addr': _OPTIONAL_STRING,
        **pci_pool.PROPERTIES,
        'iommu_group': _OPTIONAL_NUMBER,
        'devname': _OPTIONAL_STRING,
        'mac_address': _OPTIONAL_STRING,
        'link_speed': _OPTIONAL_NUMBER,
        'total_vfs': _OPTIONAL_NUMBER,
        'capabilities': {'type': 'array', 'items': base.STRING},
        'serial_number': _OPTIONAL_STRING,
        'offered_by': _OPTIONAL_STRING,
        'refusal': _OPTIONAL_STRING,
        'state': base.choice(lifecycle.STATES),
        'status': base.choice(fields.DeviceStatus.ALL),
        'presence': base.choice(fields.Presence.ALL),
        'disabled_reason': _OPTIONAL_STRING,
        'conflict': _OPTIONAL_STRING,
        'handlers': {'type': 'array', 'items': base.STRING},
        'on_failure': _OPTIONAL_STRING,
        'preparation_step': base.nullable(
            base.choice(fields.PreparationStep.ALL)
        ),
        'preparation_attempt': _OPTIONAL_NUMBER,
        'preparation_since': base.nullable(base.TIME),
        'preparation_percent': _OPTIONAL_NUMBER,
        'preparation_text': _OPTIONAL_STRING,
        'quarantine_reason': _OPTIONAL_STRING,
        'failed_starts': {'type': 'integer'},
        'start_failure': _OPTIONAL_STRING,
        'instance_uuid': base.nullable(base.UUID),
        'request_id': _OPTIONAL_STRING,
        'pci_flavor_uuid': base.nullable(base.UUID),
        'pci_flavor': {
            **_OPTIONAL_STRING,
            'description': 'The name of the PCI flavor through which it is '
            'held.',
        },
        'created_at': base.nullable(base.TIME),
        'updated_at': base.nullable(base.TIME),
    },
    optional=tuple(itertools.chain(*ADDED.values())),
)

LISTED = base.page('pci_devices', SHOWN)

LIST_QUERY = {
    'host': base.WORD,
    'address': base.WORD,
    'state': {'type': 'array', 'items': base.choice(lifecycle.STATES)},
    'instance_uuid': base.WORD,
    'held_by': {
        **base.WORD,
        'description': 'UUID or name of a PCI flavor: only devices that '
        'instances hold through it.',
    },
    **pci_pool.FILTERS,
    'limit': base.LIMIT,
    'marker': base.WORD,
}

#: An event of a device's history.
_EVENT = base.closed(
    {
        'created_at': base.TIME,
        'action': base.STRING,
        'from_state': _OPTIONAL_STRING,
        'to_state': _OPTIONAL_STRING,
        'actor': base.STRING,
        'reason': _OPTIONAL_STRING,
        'instance_uuid': base.nullable(base.UUID),
        'host': base.STRING,
        'address': base.STRING,
    }
)

HISTORY = base.closed({'events': {'type': 'array', 'items': _EVENT}})

HISTORY_QUERY = {'limit': base.LIMIT}

#: The action on a device whose hardware is elsewhere.
RESOLVE: Final = 'resolve'

UPDATE: base.Schema = {
    **base.closed(
        {
            'action': base.choice((*lifecycle.OPERATOR_ACTIONS, RESOLVE)),
            'reason': {
                'description': 'The reason in one line, for other operators.',
                'type': 'string',
                'minLength': 1,
                'maxLength': 255,
            },
            'moved_to': {
                'description': 'With the action resolve: the address at which '
                'the hardware of the device is now.',
                **base.WORD,
            },
            'gone': {
                'description': 'With the action resolve: the hardware of the '
                'device is not on the host any more.',
                'type': 'boolean',
                'const': True,
            },
        }
    ),
    'required': ['action'],
    'allOf': [
        {
            'if': {
                'properties': {
                    'action': {
                        'enum': [*lifecycle.ACTIONS_WITH_REASON, RESOLVE]
                    }
                }
            },
            'then': {'required': ['reason']},
        },
        {
            'if': {'properties': {'action': {'const': RESOLVE}}},
            'then': {
                'oneOf': [{'required': ['moved_to']}, {'required': ['gone']}]
            },
            'else': {'properties': {'moved_to': False, 'gone': False}},
        },
    ],
}
