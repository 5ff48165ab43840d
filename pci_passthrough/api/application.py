# SPDX-License-Identifier: Apache-2.0
"""The application: finds the route, validates, and calls the handler."""

from collections.abc import Iterable
from collections.abc import Sequence
import re
from typing import TYPE_CHECKING

from werkzeug import datastructures
from werkzeug import exceptions
from werkzeug import routing as werkzeug_routing
from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import authentication
from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import route as route_mod
from pci_passthrough.api.backends import Backends
from pci_passthrough.api.viewer import Viewer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment


#: Keystone's middleware adds where Keystone is.
_CHALLENGE = datastructures.WWWAuthenticate('keystone')


class Application:
    """A WSGI application for a table of routes.

    :param backends: the database and the conductor that handlers use.
    :param routes: all routes of the REST API.
    """

    def __init__(
        self, backends: Backends, routes: Sequence[route_mod.Route]
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
            # The edge of the application: every error becomes an answer.
            response = _error(error, request)
        response.headers[microversion.HEADER] = (
            f'{microversion.SERVICE_TYPE} {request.api_version}'
        )
        # Answers differ between projects, and change at any time.
        response.vary.update((microversion.HEADER, 'X-Auth-Token'))
        response.cache_control.private = True
        response.cache_control.no_cache = True
        return response(environ, start_response)

    def _answer(self, request: request_mod.ApiRequest) -> wrappers.Response:
        route: route_mod.Route
        route, arguments = self._map.bind_to_environ(request.environ).match(
            _path(request)
        )
        if route.path != '/':
            request.api_version = microversion.of(request)
        if not microversion.includes(request.api_version, route.since):
            raise exceptions.NotFound
        request.backends = self._backends
        request.viewer = Viewer.from_environ(
            request.environ, self._backends.enforcer
        )
        if route.rule is not None:
            _check_token(request)
            request.viewer.check(route.rule)
        request.query = request_mod.read_query(request.args, route.query)
        if route.body is not None:
            request.body = request_mod.read_body(request, route.body)
        handler = route.handler
        if route.dry_run is not None and request.query.get('dry_run'):
            handler = route.dry_run
        try:
            return handler(request, **arguments)
        except exception.Conflict as error:
            return _error(request.viewer.readable(error), request)


def _error(
    error: Exception, request: request_mod.ApiRequest
) -> wrappers.Response:
    with_message = microversion.includes(request.api_version, '1.4')
    return errors.answer(error, request, with_message)


def _path(request: request_mod.ApiRequest) -> str:
    """Return the path as it was sent; Werkzeug would replace wrong bytes.

    It is empty for the root of a service that is below another path.

    :raises MalformedRequest: the path is not UTF-8.
    """
    try:
        path = request.environ['PATH_INFO'].encode('latin-1').decode()
    except UnicodeError as error:
        raise errors.MalformedRequest('The path is not UTF-8.') from error
    return path or '/'


def _check_token(request: request_mod.ApiRequest) -> None:
    """Check that Keystone confirmed a token of a project.

    :raises Unauthorized: it confirmed none.
    :raises Forbidden: the token is of no project.
    """
    status = request.headers.get('X-Identity-Status')
    if status != authentication.CONFIRMED:
        raise exceptions.Unauthorized(www_authenticate=_CHALLENGE)
    if request.viewer.project_id is None:
        raise errors.Forbidden('A token of a project is required.')


def _as_rule(path: str) -> str:
    """Return an OpenAPI path in Werkzeug's notation."""
    return re.sub(r'{(\w+)}', r'<\1>', path)
