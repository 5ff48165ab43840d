# SPDX-License-Identifier: Apache-2.0
"""The application: finds the route, checks what can be, calls the handler."""

from collections.abc import Iterable
from collections.abc import Sequence
import re
from typing import TYPE_CHECKING

from oslo_context import context as oslo_context
from werkzeug import datastructures
from werkzeug import exceptions
from werkzeug import routing as werkzeug_routing
from werkzeug import wrappers

from pci_passthrough.api import authentication
from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import route as route_mod
from pci_passthrough.api.backends import Backends

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment


#: Keystone's middleware says besides where Keystone is.
_CHALLENGE = datastructures.WWWAuthenticate('keystone')


class Application:
    """A WSGI application for a table of routes.

    :param backends: what handlers work with.
    :param routes: all that can be asked.
    """

    def __init__(
        self,
        backends: Backends,
        routes: Sequence[route_mod.Route],
    ) -> None:
        self._backends = backends
        self._map = werkzeug_routing.Map(
            [
                werkzeug_routing.Rule(
                    _as_rule(route.path),
                    methods=[route.method],
                    endpoint=route,
                )
                for route in routes
            ],
            strict_slashes=True,
            merge_slashes=False,
            redirect_defaults=False,
        )

    def __call__(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        """Answer a request."""
        environ.get(errors.ANSWERED, []).append(True)
        request = request_mod.ApiRequest(environ)
        try:
            response = self._answer(request)
        except Exception as error:
            # The edge: whatever it is becomes an answer.
            response = errors.answer(error, environ)
        response.headers.setdefault(
            microversion.HEADER,
            f'{microversion.SERVICE_TYPE} {microversion.MIN}',
        )
        # What projects see differs, and anybody may change it.
        response.vary.update((microversion.HEADER, 'X-Auth-Token'))
        response.cache_control.private = True
        response.cache_control.no_cache = True
        return response(environ, start_response)

    def _answer(self, request: request_mod.ApiRequest) -> wrappers.Response:
        route: route_mod.Route
        route, arguments = self._map.bind_to_environ(request.environ).match(
            _path(request)
        )
        version = microversion.MIN
        if route.path != '/':
            version = str(microversion.of(_headers(request)))
        request.backends = self._backends
        request.context = oslo_context.RequestContext.from_environ(
            request.environ
        )
        if route.rule is not None:
            _authenticate(request)
            request.authorize(route.rule)
        request.query = request_mod.read_query(request.args, route.query)
        if route.body is not None:
            request.body = request_mod.read_body(request, route.body)
        response = route.handler(request, **arguments)
        response.headers[microversion.HEADER] = (
            f'{microversion.SERVICE_TYPE} {version}'
        )
        return response


def _headers(request: request_mod.ApiRequest) -> list[tuple[str, str]]:
    """Return the headers; keystonemiddleware leaves some without a value."""
    return [
        (name, value)
        for name, value in request.headers.items()
        if value is not None
    ]


def _path(request: request_mod.ApiRequest) -> str:
    """Return the path, which Werkzeug would mend silently.

    It is empty for the root of a service that is below another path.

    :raises ApiError: 400
    """
    try:
        path = request.environ['PATH_INFO'].encode('latin-1').decode()
    except UnicodeError as error:
        raise errors.ApiError(400, 'The path is not UTF-8.') from error
    return path or '/'


def _authenticate(request: request_mod.ApiRequest) -> None:
    status = request.headers.get('X-Identity-Status')
    if status != authentication.CONFIRMED:
        raise exceptions.Unauthorized(www_authenticate=_CHALLENGE)
    if request.context.project_id is None:
        raise errors.ApiError(403, 'A token of a project is needed.')


def _as_rule(path: str) -> str:
    """Return a path of OpenAPI as Werkzeug writes it."""
    return re.sub(r'{(\w+)}', r'<\1>', path)
