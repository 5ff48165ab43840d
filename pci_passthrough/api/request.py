# SPDX-License-Identifier: Apache-2.0
"""A REST request as handlers get it: authorized, read and validated."""

from collections.abc import Mapping
import itertools
import json
from typing import Any

import jsonschema
from werkzeug import datastructures
from werkzeug import wrappers

from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api.backends import Backends
from pci_passthrough.api.viewer import Viewer

#: The largest body, in bytes; a PCI flavor of the largest match fits.
_MAX_BODY = 256 * 1024

#: The best of so many validation errors is reported; a long list of wrong
#: items has one for each.
_MOST_ERRORS = 20

#: The longest part of a wrong value that an error quotes, in characters.
_MAX_QUOTED = 200


class ApiRequest(wrappers.Request):
    """A REST request.

    :ivar api_version: the microversion that the request is for.
    :ivar backends: database, conductor and policies.
    :ivar viewer: the user and project that the request is from.
    :ivar query: the query's parameters, validated, with the defaults of
        those that are not given.
    :ivar body: the validated body, if the route has one.
    """

    max_content_length = _MAX_BODY

    api_version: str = microversion.MIN
    backends: Backends
    viewer: Viewer
    query: dict[str, Any]
    body: dict[str, Any]

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of some query parameters that were given."""
        return {n: self.query[n] for n in names if n in self.query}


def read_query(
    args: datastructures.MultiDict[str, str],
    schemas: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Read the parameters of a query.

    :param schemas: the schema of each parameter that the route has.
    :raises MalformedRequest: a parameter is unknown, or does not fit.
    """
    query = {
        name: schema['default']
        for name, schema in schemas.items()
        if 'default' in schema
    }
    for name, values in args.lists():
        if name not in schemas:
            raise errors.MalformedRequest(
                f'Query: there is no parameter {_quoted(name)}; possible: '
                f'{", ".join(schemas) or "none"}.'
            )
        query[name] = _parameter(name, values, schemas[name])
    return query


def _parameter(name: str, values: list[str], schema: Mapping[str, Any]) -> Any:
    if schema['type'] == 'array':
        value: Any = values
    elif len(values) > 1:
        raise errors.MalformedRequest(f'Query: {name} is given twice.')
    else:
        value = _converted(values[0], schema['type'])
    _validate(value, schema, f'Query: {name}')
    return value


def _converted(text: str, json_type: str) -> Any:
    """Return a parameter's value; a text that is of no such type, unchanged.

    The schema then refuses it.
    """
    if json_type == 'boolean':
        return {'true': True, 'false': False}.get(text.lower(), text)
    if json_type == 'integer' and text.isascii() and text.isdigit():
        # No number here has more than 20 digits.
        return int(text[:20])
    return text


def read_body(request: ApiRequest, schema: Mapping[str, Any]) -> Any:
    """Read and validate the body.

    :raises MalformedRequest: the body is not JSON, or does not fit.
    :raises UnsupportedMediaType: it is not declared to be JSON.
    :raises BodyTooLarge: it has no declared length, and exceeds the limit.
    :raises RequestEntityTooLarge: its declared length exceeds the limit.
    """
    if request.mimetype != 'application/json':
        raise errors.UnsupportedMediaType(
            'The body must be JSON, with the content type application/json.'
        )
    data = request.get_data()
    if request.content_length is None and len(data) >= _MAX_BODY:
        # Werkzeug stops reading at the limit, and does not say that it did.
        raise errors.BodyTooLarge('The body is too large.')
    try:
        body = json.loads(
            data,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise errors.MalformedRequest(
            f'The body is not JSON: {_shortened(str(error))}'
        ) from error
    _validate(body, schema, 'Body')
    return body


def _validate(value: Any, schema: Mapping[str, Any], where: str) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    first_errors = itertools.islice(validator.iter_errors(value), _MOST_ERRORS)
    error = jsonschema.exceptions.best_match(first_errors)
    if error is not None:
        path = ''.join(
            f'[{part!r}]' if isinstance(part, int) else f'.{_quoted(part)}'
            for part in error.absolute_path
        )
        raise errors.MalformedRequest(
            f'{where}{path}: {_shortened(error.message)}'
        )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError('an object has a key twice')
    return members


def _refuse_constant(text: str) -> Any:
    raise ValueError(f'{text} is not a JSON value')


def _quoted(text: str) -> str:
    return _shortened(text if text.isprintable() else repr(text))


def _shortened(text: str) -> str:
    if len(text) > _MAX_QUOTED:
        return f'{text[:_MAX_QUOTED]}...'
    return text
