# SPDX-License-Identifier: Apache-2.0
"""Schemas that those of several nouns use."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

Schema = Mapping[str, Any]

#: The most items on a page of a list, and the default.
MOST_LISTED = 1000

TIME: Schema = {'type': 'string', 'format': 'date-time'}
UUID: Schema = {'type': 'string', 'format': 'uuid'}
COUNT: Schema = {'type': 'integer', 'minimum': 0}
STRING: Schema = {'type': 'string'}
BOOLEAN: Schema = {'type': 'boolean'}
TAGS: Schema = {'type': 'object', 'additionalProperties': STRING}

#: The value of a filter: any text, also one that no item has.
WORD: Schema = {'type': 'string', 'minLength': 1, 'maxLength': 255}
WORDS: Schema = {'type': 'array', 'items': WORD, 'maxItems': 100}
NUMA_NODE: Schema = {'type': 'integer', 'minimum': 0, 'maximum': 65535}

#: The number of devices that one request asks for.
REQUEST_COUNT: Schema = {
    'type': 'integer',
    'minimum': 1,
    'maximum': 1000,
    'default': 1,
}

LIMIT: Schema = {
    'type': 'integer',
    'minimum': 1,
    'maximum': MOST_LISTED,
    'default': MOST_LISTED,
}


def nullable(schema: Schema) -> Schema:
    """Return the schema of a value or null.

    :param schema: the schema of the value.
    """
    if 'enum' in schema:
        return {
            **schema,
            'type': ['string', 'null'],
            'enum': [
                *schema['enum'],
                None,
            ],
        }
    return {**schema, 'type': [schema['type'], 'null']}


def choice(values: Sequence[str]) -> Schema:
    """Return the schema of a word out of several."""
    return {'type': 'string', 'enum': list(values)}


def closed(
    properties: Mapping[str, Schema], optional: Sequence[str] = ()
) -> Schema:
    """Return the schema of an object without further properties.

    :param optional: the names of properties that may be left out.
    """
    return {
        'type': 'object',
        'properties': dict(properties),
        'required': [name for name in properties if name not in optional],
        'additionalProperties': False,
    }


def page(noun: str, item: Schema) -> Schema:
    """Return the schema of a page of a list.

    :param noun: the key of the list.
    :param item: the schema of an item.
    """
    link = closed({'rel': choice(['next']), 'href': STRING})
    return closed(
        {
            noun: {'type': 'array', 'items': item},
            'links': {'type': 'array', 'items': link},
        },
        optional=['links'],
    )


#: The form of all errors, as in the guideline of OpenStack's API SIG.
ERRORS: Schema = closed(
    {
        'errors': {
            'type': 'array',
            'minItems': 1,
            'items': closed(
                {
                    'status': {'type': 'integer'},
                    'code': STRING,
                    'title': STRING,
                    'detail': STRING,
                    'request_id': STRING,
                    'holders': closed(
                        {
                            'devices': COUNT,
                            'instances': {'type': 'array', 'items': UUID},
                        }
                    ),
                    'min_version': STRING,
                    'max_version': STRING,
                },
                optional=['holders', 'min_version', 'max_version'],
            ),
        },
        #: Since microversion 1.4.
        'message': {
            'description': 'The texts of all errors, for clients that know '
            'no other form of an error.',
            'type': 'string',
        },
    },
    optional=['message'],
)
