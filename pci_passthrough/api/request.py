# SPDX-License-Identifier: Apache-2.0
"""A request as handlers get it: read, validated, and with who asks."""

from collections.abc import Mapping
import itertools
import json
from typing import Any

import jsonschema
from oslo_context import context as oslo_context
from oslo_policy import policy
from werkzeug import datastructures
from werkzeug import wrappers

from pci_passthrough.api import errors
from pci_passthrough.api.backends import Backends

#: The largest body, in bytes; a PCI flavor of the largest match fits.
_MAX_BODY = 256 * 1024

#: Stands for the asking project; no project has this id.
_OWN = ''

#: Most errors of a body among which the best one to tell is looked for.
_MOST_ERRORS = 20

#: Longest part of a wrong value that is said back.
_MAX_QUOTED = 200


class ApiRequest(wrappers.Request):
    """One request.

    :ivar backends: database, conductor and policies.
    :ivar context: who asks.
    :ivar query: the query's parameters, validated; what is not given and has
        a default has that.
    :ivar body: the validated body, if there has to be one.
    """

    max_content_length = _MAX_BODY

    backends: Backends
    context: oslo_context.RequestContext
    query: dict[str, Any]
    body: dict[str, Any]

    @property
    def actor(self) -> str:
        """Who asks, for logs and the ledger."""
        name = self.context.user_name or ''
        user = self.context.user_id or ''
        if not name.isprintable():
            name = ''
        who = f'{name} {user}' if name and name != user else user
        return f'{who} (pci-passthrough-api)'

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of some query parameters that were given."""
        return {n: self.query[n] for n in names if n in self.query}

    def authorize(self, rule: str, owner: str | None = _OWN) -> None:
        """Let nobody go on whom the policies do not allow to.

        :param owner: project that the thing belongs to; None: it belongs to
            no project. By default it is the asking one's own.
        :raises ApiError: 403
        """
        if not self.may(rule, owner):
            raise errors.ApiError(
                403, f'The policy {rule} does not allow you to do this.'
            )

    def may(self, rule: str, owner: str | None = _OWN) -> bool:
        """Whether the policies allow something; see ``authorize``."""
        target = {}
        if owner is not None:
            # Without it, no rule finds a project that fits.
            target['project_id'] = owner or self.context.project_id
        try:
            return self.backends.enforcer.authorize(rule, target, self.context)
        except policy.InvalidScope:
            return False


def read_query(
    args: datastructures.MultiDict[str, str],
    schemas: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Read the parameters of a query.

    :param schemas: parameter to schema.
    :raises ApiError: 400
    """
    query = {
        name: schema['default']
        for name, schema in schemas.items()
        if 'default' in schema
    }
    for name, values in args.lists():
        if name not in schemas:
            raise errors.ApiError(
                400,
                f'Query: there is no parameter {_quoted(name)}; possible: '
                f'{", ".join(schemas) or "none"}.',
            )
        query[name] = _parameter(name, values, schemas[name])
    return query


def _parameter(name: str, values: list[str], schema: Mapping[str, Any]) -> Any:
    if schema['type'] == 'array':
        value: Any = values
    elif len(values) > 1:
        raise errors.ApiError(400, f'Query: {name} is given twice.')
    else:
        value = _converted(values[0], schema['type'])
    _validate(value, schema, f'Query: {name}')
    return value


def _converted(text: str, wanted: str) -> Any:
    """Return a parameter as what it means; if it is none, as it is."""
    if wanted == 'boolean':
        return {'true': True, 'false': False}.get(text.lower(), text)
    if wanted == 'integer' and text.isascii() and text.isdigit():
        # More digits are no number that anything here could have.
        return int(text[:20])
    return text


def read_body(request: ApiRequest, schema: Mapping[str, Any]) -> Any:
    """Read and validate the body.

    :raises ApiError: 400, 413, 415
    :raises werkzeug.exceptions.RequestEntityTooLarge:
    """
    if request.mimetype != 'application/json':
        raise errors.ApiError(
            415, 'The body has to be JSON, of the type application/json.'
        )
    data = request.get_data()
    if request.content_length is None and len(data) >= _MAX_BODY:
        # Werkzeug reads no more of it, and does not tell that there is more.
        raise errors.ApiError(413, 'The body is too large.')
    try:
        body = json.loads(
            data,
            object_pairs_hook=_unique,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise errors.ApiError(
            400, f'The body is not JSON: {_shortened(str(error))}'
        ) from error
    _validate(body, schema, 'Body')
    return body


def _validate(value: Any, schema: Mapping[str, Any], where: str) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    # Some are enough: a long list of nonsense has one for each item.
    found = itertools.islice(validator.iter_errors(value), _MOST_ERRORS)
    error = jsonschema.exceptions.best_match(found)
    if error is not None:
        path = ''.join(
            f'[{part!r}]' if isinstance(part, int) else f'.{_quoted(part)}'
            for part in error.absolute_path
        )
        raise errors.ApiError(
            400, f'{where}{path}: {_shortened(error.message)}'
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError('an object has a key twice')
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f'{text} is no value of JSON')


def _quoted(text: str) -> str:
    return _shortened(text if text.isprintable() else repr(text))


def _shortened(text: str) -> str:
    if len(text) > _MAX_QUOTED:
        return f'{text[:_MAX_QUOTED]}...'
    return text
