# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about PCI flavors."""

from pci_passthrough.api.schemas import base
from pci_passthrough.api.schemas import pci_pool
from pci_passthrough.objects import fields
from pci_passthrough.specs import aggregate_metadata
from pci_passthrough.specs import pci_flavor
from pci_passthrough.specs import pci_information
from pci_passthrough.specs import request

_STATE = base.choice(fields.PciFlavorState.ALL)
_AVAILABILITY = base.choice(['none', 'low', 'ok'])
_ORIGIN = base.choice(fields.PciFlavorOrigin.ALL)
_PROJECT: base.Schema = {'type': 'string', 'minLength': 1, 'maxLength': 255}

_MATCH: base.Schema = {
    'description': 'Alternatives. Each is an object of conditions, all of '
    'which a device must fulfil. Keys are '
    + ', '.join(pci_flavor.KEYS)
    + ' and e.<extra info key>. A value is a string (ids may be globs), a '
    'list of which one item must fit, or an operator expression of '
    'oslo_utils.specs_matcher.',
    'type': 'array',
    'minItems': 1,
    'maxItems': pci_flavor.MAX_TERMS,
    'items': {
        'type': 'object',
        'minProperties': 1,
        'maxProperties': 64,
        'additionalProperties': {
            'anyOf': [
                {'type': ['string', 'integer']},
                {
                    'type': 'array',
                    'minItems': 1,
                    'maxItems': 256,
                    'items': {'type': ['string', 'integer']},
                },
            ]
        },
    },
    'examples': [[{'vendor_id': '10de', 'e.group': ['a', 'b']}]],
}

#: Since microversion 1.4.
_AGGREGATE_METADATA: base.Schema = {
    'description': "Conditions on the metadata of Nova's host aggregates: for "
    'each key some aggregate of a host must have a value that fits. Values '
    'are as those of tags in match; null means any host. Needs the policy '
    'aggregate_metadata.',
    'type': ['object', 'null'],
    'minProperties': 1,
    'maxProperties': aggregate_metadata.MAX_KEYS,
    'additionalProperties': {
        'anyOf': [
            {'type': 'string'},
            {
                'type': 'array',
                'minItems': 1,
                'maxItems': 256,
                'items': {'type': 'string'},
            },
        ]
    },
    'examples': [{'customer': 'blue', 'rack': ['7', '8']}],
}

_SETTABLE = {
    'name': {
        'description': 'A name without / | : and comma, without blanks at '
        'its ends; not a UUID.',
        'type': 'string',
        'minLength': 1,
        'maxLength': pci_flavor.MAX_NAME_LENGTH,
    },
    'description': base.nullable({'type': 'string', 'maxLength': 16000}),
    'match': _MATCH,
    'vnic_type': base.nullable(base.choice(fields.VnicType.ALL)),
    'numa_policy': base.nullable(base.choice(fields.NumaPolicy.ALL)),
    'is_public': base.BOOLEAN,
    'state': _STATE,
    'access': {
        'description': 'The projects that may use the PCI flavor while it is '
        'private.',
        'type': 'array',
        'maxItems': 1000,
        'items': _PROJECT,
    },
    'aggregate_metadata': _AGGREGATE_METADATA,
}

CREATE: base.Schema = {
    **base.closed(
        {
            **_SETTABLE,
            'project_id': {
                **base.nullable(_PROJECT),
                'description': "The owner, by default the user's project; "
                'null means none. Needs the policy create_for_project.',
            },
        }
    ),
    'required': ['name', 'match'],
}

UPDATE: base.Schema = {
    **base.closed(
        {
            **_SETTABLE,
            'generation': {
                'description': 'The generation that the change is based on; '
                'instead of If-Match.',
                'type': 'integer',
                'minimum': 1,
                'maximum': 2**31 - 1,
            },
        }
    ),
    'required': [],
}

#: Since microversion 1.1, and only for viewers who may see pools.
_WARNINGS: base.Schema = {
    'description': 'What is valid, but probably not meant. The code is '
    'stable; the text is for people.',
    'type': 'array',
    'items': base.closed({'code': base.STRING, 'text': base.STRING}),
}

_SHOWN_TO_SOME = (
    'project_id',
    'access',
    'origin',
    'aggregate_metadata',
    'availability',
)

#: ``availability`` is only in lists, if the query asks for it; ``project_id``,
#: ``access`` and, since microversion 1.4, ``origin`` and
#: ``aggregate_metadata`` are only for viewers whom the policies show them.
SHOWN = base.closed(
    {
        'uuid': base.UUID,
        'name': base.STRING,
        'description': base.nullable(base.STRING),
        'match': _MATCH,
        'vnic_type': _SETTABLE['vnic_type'],
        'numa_policy': _SETTABLE['numa_policy'],
        'is_public': base.BOOLEAN,
        'state': _STATE,
        'generation': base.COUNT,
        'created_at': base.nullable(base.TIME),
        'updated_at': base.nullable(base.TIME),
        'project_id': base.nullable(base.STRING),
        'access': {'type': 'array', 'items': base.STRING},
        'origin': {
            **base.nullable(_ORIGIN),
            'description': 'Where it comes from; null means that a person '
            'made it.',
        },
        'aggregate_metadata': _AGGREGATE_METADATA,
        'availability': _AVAILABILITY,
    },
    optional=_SHOWN_TO_SOME,
)

#: A PCI flavor that was created or changed.
CHANGED = base.closed(
    {**SHOWN['properties'], 'warnings': _WARNINGS},
    optional=[*_SHOWN_TO_SOME, 'warnings'],
)

LISTED = base.page('pci_flavors', SHOWN)

#: The keys by which a list can be sorted.
SORT_KEYS = ('name', 'state', 'created_at', 'updated_at', 'uuid')

LIST_QUERY = {
    'name': base.WORD,
    'state': {'type': 'array', 'items': _STATE},
    'is_public': base.BOOLEAN,
    'vnic_type': base.choice(fields.VnicType.ALL),
    'project_id': base.WORD,
    'origin': {
        **_ORIGIN,
        'description': 'Only PCI flavors of this origin. Those that are built '
        'in and disabled are left out of lists without it.',
    },
    'availability': base.BOOLEAN,
    'sort': {
        'description': 'KEY:DIRECTION; commas separate several.',
        'type': 'string',
        'maxLength': 200,
        'examples': ['state:asc,name:desc'],
    },
    'limit': base.LIMIT,
    'marker': base.WORD,
}

DRY_RUN_QUERY = {
    'dry_run': {
        **base.BOOLEAN,
        'description': 'Change nothing; show the effect of the change.',
    }
}

FORCE_QUERY = {
    **DRY_RUN_QUERY,
    'force': {
        **base.BOOLEAN,
        'description': 'Change or delete it although instances hold devices '
        'through it that it would no longer match.',
    },
}

EFFECT = base.closed(
    {
        'pci_flavor': {'anyOf': [SHOWN, {'type': 'null'}]},
        'devices': base.closed(
            dict.fromkeys(('before', 'after', 'gained', 'lost'), base.COUNT)
        ),
        'pools': base.closed(
            {
                'gained': {'type': 'array', 'items': pci_pool.SHOWN},
                'lost': {'type': 'array', 'items': pci_pool.SHOWN},
            }
        ),
        'requests': base.closed(
            {
                'stranded': base.COUNT,
                'instances': {'type': 'array', 'items': base.UUID},
                'instance_count': base.COUNT,
                'outside': {
                    **base.COUNT,
                    'description': 'Devices that are held by it on hosts '
                    'outside of its aggregate_metadata; since 1.4.',
                },
            },
            optional=['outside'],
        ),
        'refusal': base.nullable(base.STRING),
        'warnings': _WARNINGS,
    },
    optional=['devices', 'pools', 'requests', 'warnings'],
)

ACCESS = base.closed({'access': {'type': 'array', 'items': base.STRING}})

_QUESTION = {
    'pci_flavor': base.UUID,
    'name': base.STRING,
    'count': base.REQUEST_COUNT,
}

AVAILABILITY_QUERY = {'count': base.REQUEST_COUNT}

#: What the devices of a PCI flavor are; since microversion 1.3.
_RESOURCE = base.closed(
    {
        'resource_type': base.STRING,
        **{
            word: {
                **base.nullable(base.STRING),
                'description': f'The {word} in the pci_information of hosts.',
            }
            for word in pci_information.WORDS
        },
        'availability': _AVAILABILITY,
        'free': base.COUNT,
        'total': base.COUNT,
    },
    optional=['free', 'total'],
)

AVAILABILITY = base.closed(
    {
        **_QUESTION,
        'availability': _AVAILABILITY,
        'free': base.COUNT,
        'total': base.COUNT,
        'requests': base.COUNT,
        'resources': {'type': 'array', 'items': _RESOURCE},
        'hosts': {
            'type': 'array',
            'items': base.closed(
                {
                    'host': base.STRING,
                    'free': base.COUNT,
                    'total': base.COUNT,
                    'requests': base.COUNT,
                    'states': {
                        'description': 'How many of the devices are in each '
                        'state; since 1.4.',
                        'type': 'object',
                        'additionalProperties': base.COUNT,
                    },
                },
                optional=['states'],
            ),
        },
    },
    optional=['free', 'total', 'requests', 'hosts', 'resources'],
)

EXPLAIN_QUERY = {
    'count': base.REQUEST_COUNT,
    'host': {
        **base.WORDS,
        'description': 'Only these hosts. Needs the policy explain_hosts.',
    },
    'physical_network': {
        **base.WORDS,
        'description': 'Only devices for a NIC on one of these physical '
        'networks; an empty one means an overlay network. The NIC has the '
        'vnic_type of the PCI flavor, by default direct. count is then the '
        'number of NICs. Needs the policy explain_hosts.',
        'items': {
            'type': 'string',
            'maxLength': request.MAX_PHYSICAL_NETWORK_LENGTH,
        },
        'examples': [['physnet1']],
    },
    'limit': base.LIMIT,
    'marker': base.WORD,
}

_CONDITION = base.choice(
    [*fields.RefusalCondition.ALL, fields.PciFlavorState.DISABLED]
)

_NEAR_MISS = base.closed(
    {
        'devices': base.COUNT,
        'pool': base.STRING,
        'key': base.STRING,
        'wanted': base.STRING,
        'found': base.nullable(base.STRING),
    }
)

EXPLAIN = base.closed(
    {
        **_QUESTION,
        'serving': base.nullable(base.COUNT),
        'summary': base.STRING,
        'reasons': {
            'type': 'array',
            'items': base.closed(
                {
                    'condition': _CONDITION,
                    'text': base.STRING,
                    'hosts': base.COUNT,
                },
                optional=['hosts'],
            ),
        },
        'hosts': {
            'type': 'array',
            'items': base.closed(
                {
                    'host': base.STRING,
                    'serves': base.BOOLEAN,
                    'condition': base.nullable(_CONDITION),
                    'needed': base.COUNT,
                    'left': base.COUNT,
                    'detail': base.STRING,
                    'near_misses': {'type': 'array', 'items': _NEAR_MISS},
                }
            ),
        },
        'steps': {
            'type': 'array',
            'items': base.closed(
                {
                    'condition': _CONDITION,
                    'fulfilled': {'type': ['boolean', 'null']},
                    'text': base.STRING,
                }
            ),
        },
        'left': base.COUNT,
        'links': base.page('hosts', {})['properties']['links'],
        'warnings': _WARNINGS,
    },
    optional=['summary', 'hosts', 'steps', 'left', 'links', 'warnings'],
)
