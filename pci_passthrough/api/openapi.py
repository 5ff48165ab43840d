# SPDX-License-Identifier: Apache-2.0
"""Generates the OpenAPI 3.1 document from the routes and their schemas."""

from collections.abc import Sequence
import functools
import http
import json
import re
from typing import Any

from werkzeug import wrappers

import pci_passthrough
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api.route import Route
from pci_passthrough.api.schemas import base

#: The statuses of errors that every route may answer with.
_ALWAYS = (400, 406, 500)

#: The further ones of routes that need a token.
_WITH_TOKEN = (401, 403, 503)


def route_to_document(routes: Sequence[Route]) -> Route:
    """Return the route of the document that describes all routes."""

    @functools.cache
    def text() -> str:
        return json.dumps(document([*routes, route]))

    def openapi(request: request_mod.ApiRequest) -> wrappers.Response:
        return wrappers.Response(text(), content_type='application/json')

    route = Route(
        'GET',
        '/v1/openapi.json',
        openapi,
        'Get this document.',
        None,
        {200: {'type': 'object'}},
    )
    return route


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document, as data for JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route
        )
    return {
        'openapi': '3.1.0',
        'info': {
            'title': 'pci_passthrough',
            'summary': 'PCI devices for instances, requested by name.',
            'description': f'Microversions {microversion.MIN} to '
            f'{microversion.MAX}.',
            'version': microversion.MAX,
            'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'},
            'x-release': pci_passthrough.version(),
        },
        'servers': [{'url': '..'}],
        'paths': paths,
        'components': {
            'schemas': {'Errors': base.ERRORS},
            'securitySchemes': {
                'token': {
                    'type': 'apiKey',
                    'in': 'header',
                    'name': 'X-Auth-Token',
                    'description': 'A Keystone token of a project.',
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        'operationId': route.operation_id,
        'summary': route.summary,
        'tags': [route.tag],
        'parameters': [*_path_parameters(route), *_query(route), _VERSION],
        'responses': _responses(route),
    }
    if route.has_precondition:
        operation['parameters'].append(_IF_MATCH)
    if 304 in route.answers:
        operation['parameters'].append(_IF_NONE_MATCH)
    if route.rule is not None:
        operation['security'] = [{'token': []}]
        operation['description'] = f'Policy: ``{route.rule}``'
    if route.body is not None:
        operation['requestBody'] = {
            'required': True,
            'content': {'application/json': {'schema': route.body}},
        }
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            'name': name,
            'in': 'path',
            'required': True,
            'schema': {'type': 'string', 'minLength': 1},
        }
        for name in re.findall(r'{(\w+)}', route.path)
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    return [
        {
            'name': name,
            'in': 'query',
            'schema': schema,
            **(
                {'style': 'form', 'explode': True}
                if schema['type'] == 'array'
                else {}
            ),
        }
        for name, schema in route.query.items()
    ]


_VERSION = {
    'name': microversion.HEADER,
    'in': 'header',
    'description': f'The microversion; {microversion.MIN} by default.',
    'schema': {
        'type': 'string',
        'enum': [
            f'{microversion.SERVICE_TYPE} {version}'
            for version in (*microversion.VERSIONS, 'latest')
        ],
    },
}

_IF_MATCH = {
    'name': 'If-Match',
    'in': 'header',
    'description': 'The ETag of the state that the change is based on; '
    '``*`` for any state.',
    'schema': {'type': 'string', 'examples': ['*']},
}

_IF_NONE_MATCH = {
    'name': 'If-None-Match',
    'in': 'header',
    'description': 'The ETag of the state that the client has already.',
    'schema': {'type': 'string'},
}


def _responses(route: Route) -> dict[str, Any]:
    statuses = {*_ALWAYS, *route.errors}
    if route.rule is not None:
        statuses.update(_WITH_TOKEN)
    if '{' in route.path:
        statuses.add(404)
    if route.body is not None:
        statuses.update((413, 415))
    errors = {
        str(status): {
            'description': http.HTTPStatus(status).phrase,
            'content': {
                'application/json': {
                    'schema': {'$ref': '#/components/schemas/Errors'}
                }
            },
        }
        for status in sorted(statuses)
    }
    return {
        str(status): {
            'description': http.HTTPStatus(status).phrase,
            **(
                {}
                if schema is None
                else {'content': {'application/json': {'schema': schema}}}
            ),
        }
        for status, schema in route.answers.items()
    } | errors
