# SPDX-License-Identifier: Apache-2.0
"""What the schemas of all nouns have in common."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

Schema = Mapping[str, Any]

#: Most things of one page of a list, and how many if nobody says.
MOST_LISTED = 1000

TIME: Schema = {'type': 'string', 'format': 'date-time'}
UUID: Schema = {'type': 'string', 'format': 'uuid'}
COUNT: Schema = {'type': 'integer', 'minimum': 0}
STRING: Schema = {'type': 'string'}
BOOLEAN: Schema = {'type': 'boolean'}
TAGS: Schema = {'type': 'object', 'additionalProperties': STRING}

#: For a filter: any text. What fits nothing finds nothing.
WORD: Schema = {'type': 'string', 'minLength': 1, 'maxLength': 255}
WORDS: Schema = {'type': 'array', 'items': WORD, 'maxItems': 100}
NUMA_NODE: Schema = {'type': 'integer', 'minimum': 0, 'maximum': 65535}

#: How many devices one request asks for.
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
    """Return the schema of such a value or null."""
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
    """Return the schema of one of some words."""
    return {'type': 'string', 'enum': list(values)}


def closed(
    properties: Mapping[str, Schema], optional: Sequence[str] = ()
) -> Schema:
    """Return the schema of an object that has these properties only.

    :param optional: the names of those which may be left out.
    """
    return {
        'type': 'object',
        'properties': dict(properties),
        'required': [name for name in properties if name not in optional],
        'additionalProperties': False,
    }


def page(noun: str, item: Schema) -> Schema:
    """Return the schema of a page of a list.

    :param noun: what is listed, the key of the list.
    """
    link = closed({'rel': choice(['next']), 'href': STRING})
    return closed(
        {
            noun: {'type': 'array', 'items': item},
            'links': {'type': 'array', 'items': link},
        },
        optional=['links'],
    )


#: The form of all errors, after the guideline of OpenStack's API SIG.
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
        }
    }
)
