# SPDX-License-Identifier: Apache-2.0
"""What a user can be told instead of a result.

::

    ClientError
      ServiceNotFound      the catalogue does not list the service
      ServiceUnreachable   nobody answers, or somebody else does
      VersionUnsupported   service and client, or user, know none in common
      RequestFailed        the service said no

Each message is one line: both shells print it as it is, and exit with 1.
"""

from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


class ClientError(Exception):
    """Anything that keeps a command from its result."""


class ServiceNotFound(ClientError):
    """The catalogue does not list the service."""


class ServiceUnreachable(ClientError):
    """Nobody answers at the endpoint, or not this service."""


class VersionUnsupported(ClientError):
    """The service does not speak what it is asked to."""


class RequestFailed(ClientError):
    """The service answered with an error.

    :ivar status: HTTP's, for example 404
    :ivar code: the stable one, for example ``pci_flavor.not_found``; None if
        it was not the service that answered
    """

    def __init__(
        self,
        status: int,
        detail: str,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        known = (f'HTTP {status}', code, request_id)
        words = ', '.join(word for word in known if word)
        super().__init__(f'{_one_line(detail)} ({words})')
        self.status = status
        self.code = code


def from_response(response: 'requests.Response') -> RequestFailed:
    """Return what an answer with an error says.

    It need not come from the service: Keystone's middleware and proxies have
    forms of their own.
    """
    first, *others = _errors(response) or [{}]
    detail = '; '.join(text for text in map(_text, (first, *others)) if text)
    return RequestFailed(
        response.status_code,
        detail or f'{response.url} says: {response.reason}',
        first.get('code'),
        first.get('request_id')
        or response.headers.get('X-Openstack-Request-Id'),
    )


def _errors(response: 'requests.Response') -> list[dict[str, Any]]:
    try:
        body = response.json()
    except ValueError:
        return []
    if not isinstance(body, dict):
        return []
    errors = body.get('errors')
    if isinstance(errors, list):
        return [error for error in errors if isinstance(error, dict)]
    error = body.get('error')
    if isinstance(error, dict):  # keystonemiddleware
        return [{'detail': error.get('message')}]
    return []


def _text(error: dict[str, Any]) -> str:
    """Return what one error says, with the instances that are in the way."""
    text = str(error.get('detail') or '')
    holders = error.get('holders') or {}
    if holders.get('instances'):
        text += f'; instances: {", ".join(holders["instances"])}'
    return text


def _one_line(text: str) -> str:
    return ' '.join(text.split())
