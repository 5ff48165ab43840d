# SPDX-License-Identifier: Apache-2.0
"""Errors as clients get them, whatever raised them."""

from collections.abc import Iterable
from collections.abc import Mapping
import http
import json
from typing import Any
from typing import TYPE_CHECKING

from oslo_context import context
from oslo_log import log as logging
from werkzeug import exceptions
from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.store import database

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

LOG = logging.getLogger(__name__)

#: Where oslo.middleware leaves the id of a request.
REQUEST_ID = 'openstack.request_id'

#: Where this service notes, in a list, that an answer is its own.
ANSWERED = 'pci_passthrough.answered'

#: Codes for programs of the errors that are HTTP's own.
_CODES = {
    400: 'request.malformed',
    401: 'unauthenticated',
    403: 'forbidden',
    404: 'not_found',
    405: 'method_not_allowed',
    406: 'version.unsupported',
    413: 'request.too_large',
    415: 'request.media_type',
    503: 'unavailable',
}

#: What is said of a peer that is away. Its name and address are not the
#: caller's business; they are in the log.
_AWAY = (
    'A service that this one depends on does not answer. If something was to '
    'be changed, it may have been; look, and try again later.'
)


#: What is said where Werkzeug or a middleware finds an error, in place of
#: its words for people in front of a browser.
_DETAILS = {
    400: 'The request cannot be understood.',
    401: 'A valid token is needed.',
    404: 'There is nothing at this path.',
    405: 'This cannot be done here; Allow says what can.',
    413: 'The body is too large.',
    503: _AWAY,
}


class ApiError(Exception):
    """An answer that is none of what was asked for.

    :param status: of HTTP.
    :param detail: for people.
    :param code: for programs; None: that of the status.
    :param extra: further members of the error.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        code: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or _CODES[status]
        self.extra = extra or {}


def answer(error: Exception, environ: 'WSGIEnvironment') -> wrappers.Response:
    """Turn what a handler raised into an answer.

    What nobody expected is logged with its traceback, and becomes 500.
    """
    headers: list[tuple[str, str]] = []
    if isinstance(error, exceptions.HTTPException):
        # Allow, and the like.
        headers = [
            (name, value)
            for name, value in error.get_headers(environ)
            if name != 'Content-Type'
        ]
    response = _response(_api_error(error), environ)
    response.headers.extend(headers)
    return response


def _api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, exceptions.HTTPException) and error.code in _DETAILS:
        return ApiError(error.code, _DETAILS[error.code])
    if isinstance(error, exception.Unavailable):
        LOG.error('Status 503: %s', error.text)
        return ApiError(503, _AWAY, error.code)
    if isinstance(error, exception.PciPassthroughError):
        if error.http_status != 500:
            return ApiError(error.http_status, error.text, error.code)
    if isinstance(error, database.ERRORS):
        # SQLAlchemy's further lines hold the statement, and links.
        LOG.error('Status 503: %s', str(error).partition('\n')[0])
        return ApiError(503, _AWAY, exception.DatabaseUnavailable.code)
    LOG.error('Status 500', exc_info=error)
    return ApiError(
        500, 'An error of this service; its log has more.', 'internal'
    )


def _response(
    error: ApiError, environ: 'WSGIEnvironment'
) -> wrappers.Response:
    return wrappers.Response(
        json.dumps(
            {
                'errors': [
                    {
                        'status': error.status,
                        'code': error.code,
                        'title': http.HTTPStatus(error.status).phrase,
                        'detail': error.detail,
                        'request_id': environ.get(REQUEST_ID, ''),
                        **error.extra,
                    }
                ]
            }
        ),
        error.status,
        content_type='application/json',
    )


class _Passed(wrappers.Response):
    """An answer as it came; one without a body has no Content-Type."""

    default_mimetype = None


class ErrorsOfMiddleware:
    """Gives errors that did not come from here the form of all others.

    keystonemiddleware answers by itself without a good token, and when
    Keystone is away.

    :param application: whose answers are looked at.
    """

    def __init__(self, application: 'WSGIApplication') -> None:
        self._application = application

    def __call__(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        """Answer a request."""
        # What is logged until it is known who asks is not the last one's.
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
            status = response.status_code
            error = ApiError(
                status,
                _DETAILS.get(status, http.HTTPStatus(status).phrase),
                _CODES.get(status, 'internal'),
            )
            theirs, response = response, _response(error, environ)
            for name in ('WWW-Authenticate', 'Retry-After'):
                if name in theirs.headers:
                    response.headers[name] = theirs.headers[name]
            theirs.close()
        return response(environ, start_response)
