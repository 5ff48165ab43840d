# SPDX-License-Identifier: Apache-2.0
"""Converts errors to answers; the only place that chooses their HTTP status.

Handlers raise errors of ``pci_passthrough.exception`` and those defined here.
``answer`` looks up the status of an error's family.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import http
import json
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from oslo_context import context
from oslo_log import log as logging
from werkzeug import exceptions
from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import preconditions
from pci_passthrough.store import database

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

LOG = logging.getLogger(__name__)

#: The key of the WSGI environment that holds oslo.middleware's request id.
REQUEST_ID = 'openstack.request_id'

#: The key of the WSGI environment that holds a list, which is not empty if
#: ``Application`` made the answer, and not a middleware.
ANSWERED = 'pci_passthrough.answered'

#: The key of the WSGI environment that holds whether the microversion of the
#: request has ``message``.
_WITH_MESSAGE = 'pci_passthrough.with_message'


class MalformedRequest(exception.Invalid):
    """The path, a header, the query or the body cannot be understood."""

    code = 'request.malformed'


class Forbidden(exception.PciPassthroughError):
    """The policies do not allow the request."""

    code = 'forbidden'


class UnsupportedVersion(exception.PciPassthroughError):
    """This release does not know the microversion.

    :param min_version: the oldest microversion that it knows.
    :param max_version: the newest.
    """

    code = 'version.unsupported'

    def __init__(self, text: str, min_version: str, max_version: str) -> None:
        super().__init__(text)
        self.min_version = min_version
        self.max_version = max_version


class BodyTooLarge(exception.PciPassthroughError):
    """The request's body exceeds the limit."""

    code = 'request.too_large'


class UnsupportedMediaType(exception.PciPassthroughError):
    """The request's body is not declared to be JSON."""

    code = 'request.media_type'


class PreconditionRequired(exception.PciPassthroughError):
    """A change does not say which state it is based on."""

    code = 'pci_flavor.precondition_required'


class DeviceChanged(exception.Conflict):
    """Somebody else changed a device after the client had read it."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f'PCI device {device} was changed by somebody else meanwhile; '
            'read it again and repeat your change'
        )


#: The HTTP status of each family of errors. An error of no family is one of
#: this service: 500.
_STATUSES: Final[Mapping[type, int]] = {
    exception.Invalid: 400,
    Forbidden: 403,
    exception.NotFound: 404,
    UnsupportedVersion: 406,
    exception.Conflict: 409,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    PreconditionRequired: 428,
    exception.Unavailable: 503,
}

#: Errors with the status 412 instead, if If-Match named a state.
_CHANGED: Final = (exception.PciFlavorChanged, DeviceChanged)

#: The answer while a peer is away. It leaves out the peer's name and address,
#: which are none of the caller's business; the log has them.
_UNAVAILABLE = (
    'A service that this API depends on does not answer. If you requested a '
    'change, it may have been made: check before you try again.'
)

_INTERNAL = 'Internal error; see the service log for details.'

#: Code and detail for errors of Werkzeug and of a middleware, by status.
#: Their own texts are for people in front of a browser.
_HTTP_ERRORS: Final = {
    400: ('request.malformed', 'The request is malformed.'),
    401: ('unauthenticated', 'A valid Keystone token is required.'),
    403: ('forbidden', 'Forbidden'),
    404: ('not_found', 'No resource has this path.'),
    405: (
        'method_not_allowed',
        'This path does not support the method; the header Allow lists those '
        'that it does.',
    ),
    413: ('request.too_large', 'The body is too large.'),
    503: ('unavailable', _UNAVAILABLE),
}


def answer(
    error: Exception, request: wrappers.Request, with_message: bool
) -> wrappers.Response:
    """Return the answer for an error.

    An unexpected error is logged with its traceback, and becomes 500.

    :param with_message: whether the microversion has ``message``.
    """
    environ = request.environ
    environ[_WITH_MESSAGE] = with_message
    if isinstance(error, exceptions.HTTPException):
        if error.code in _HTTP_ERRORS:
            return _http_error(error, environ)
    if isinstance(error, database.ERRORS):
        # SQLAlchemy's further lines hold the statement, and links.
        error = exception.DatabaseUnavailable(str(error).partition('\n')[0])
    status = _status(error, request)
    if status == 500 or not isinstance(error, exception.PciPassthroughError):
        LOG.error('Answering a request with HTTP 500', exc_info=error)
        return _response(500, 'internal', _INTERNAL, environ)
    if status == 503:
        LOG.error('Answering a request with HTTP 503: %s', error.text)
        return _response(status, error.code, _UNAVAILABLE, environ)
    return _response(
        status, error.code, error.text, environ, **_members(error)
    )


def _status(error: Exception, request: wrappers.Request) -> int:
    if isinstance(error, _CHANGED) and preconditions.names_state(request):
        return 412
    for family in type(error).__mro__:
        if family in _STATUSES:
            return _STATUSES[family]
    return 500


def _members(error: exception.PciPassthroughError) -> dict[str, Any]:
    """Return the members that only errors of this kind have."""
    if isinstance(error, UnsupportedVersion):
        return {
            'min_version': error.min_version,
            'max_version': error.max_version,
        }
    if isinstance(error, exception.PciFlavorInUse):
        return {
            'holders': {
                'devices': error.holders,
                'instances': list(error.instances),
            }
        }
    return {}


def _http_error(
    error: exceptions.HTTPException, environ: 'WSGIEnvironment'
) -> wrappers.Response:
    """Return an answer with the headers of Werkzeug's, such as Allow."""
    status = int(error.code or 500)
    response = _response(status, *_HTTP_ERRORS[status], environ)
    response.headers.extend(
        (name, value)
        for name, value in error.get_headers(environ)
        if name != 'Content-Type'
    )
    return response


def _response(
    status: int,
    code: str,
    detail: str,
    environ: 'WSGIEnvironment',
    **members: Any,
) -> wrappers.Response:
    error = {
        'status': status,
        'code': code,
        'title': http.HTTPStatus(status).phrase,
        'detail': detail,
        'request_id': environ.get(REQUEST_ID, ''),
        **members,
    }
    document: dict[str, Any] = {'errors': [error]}
    # Errors of a middleware are of no microversion, and have it always.
    if environ.get(_WITH_MESSAGE, True):
        document['message'] = detail
    return wrappers.Response(
        json.dumps(document), status, content_type='application/json'
    )


class _Passed(wrappers.Response):
    """A middleware's answer as it is; Werkzeug adds no Content-Type."""

    default_mimetype = None


class ErrorsOfMiddleware:
    """Gives errors of a middleware the form of all others.

    keystonemiddleware answers itself if a token is missing or invalid, and
    while Keystone is away.

    :param application: the application with its middleware.
    """

    def __init__(self, application: 'WSGIApplication') -> None:
        self._application = application

    def __call__(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        """Answer a request."""
        # Log lines before the authentication must not carry the user of the
        # request before.
        context.RequestContext(request_id=environ.get(REQUEST_ID))
        # Werkzeug hands on a copy of the environment, with the same list.
        environ[ANSWERED] = answered = list[bool]()
        response: wrappers.Response = _Passed.from_app(
            self._application, environ
        )
        if (
            response.status_code >= http.HTTPStatus.BAD_REQUEST
            and not answered
        ):
            original, response = response, _replaced(response, environ)
            original.close()
        return response(environ, start_response)


def _replaced(
    original: wrappers.Response, environ: 'WSGIEnvironment'
) -> wrappers.Response:
    """Return an error of a middleware in the form of all others."""
    status = original.status_code
    code, detail = _HTTP_ERRORS.get(
        status, ('internal', http.HTTPStatus(status).phrase)
    )
    response = _response(status, code, detail, environ)
    for name in ('WWW-Authenticate', 'Retry-After'):
        if name in original.headers:
            response.headers[name] = original.headers[name]
    return response
