# SPDX-License-Identifier: Apache-2.0
"""Errors of the clients.

::

    ClientError
      ServiceNotFound      the catalogue does not list the service
      ServiceUnreachable   the endpoint does not answer, or is another service
      VersionUnsupported   service and client have no microversion in common
      RequestFailed        the service answered with an error

Each message is one line. The ``openstack`` and ``nova`` commands print it as
it is, and exit with status 1.
"""

from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


class ClientError(Exception):
    """Any error that a command ends with."""


class ServiceNotFound(ClientError):
    """The catalogue does not list the service."""


class ServiceUnreachable(ClientError):
    """The endpoint does not answer, or is another service."""


class VersionUnsupported(ClientError):
    """The service does not have the requested microversion."""


class RequestFailed(ClientError):
    """The service answered with an error.

    :ivar status: HTTP status, for example 404
    :ivar detail: the service's text, as one line
    :ivar code: stable code, for example ``pci_flavor.not_found``; None if
        another program answered instead of the service
    """

    def __init__(
        self,
        status: int,
        detail: str,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.status = status
        self.detail = ' '.join(detail.split())
        self.code = code
        identifiers = filter(None, (f'HTTP {status}', code, request_id))
        super().__init__(f'{self.detail} ({", ".join(identifiers)})')


def from_response(response: 'requests.Response') -> RequestFailed:
    """Return the error of a response whose status is 400 or more.

    Keystone's middleware and proxies answer with bodies of other forms than
    the service.
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


def not_in_catalogue(
    service_type: str,
    region: str | None,
    interface: str | list[str] | None,
) -> ServiceNotFound:
    """Return the error that the catalogue has no endpoint of the service."""
    where = ''.join(
        f', {label} {value}'
        for label, value in (('region', region), ('interface', interface))
        if value
    )
    return ServiceNotFound(
        f'the catalogue has no endpoint of a service of type {service_type}'
        f'{where}: it is not installed in this cloud, or not registered in '
        'Keystone'
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
    """Return the text of an error, with the instances that hold devices."""
    text = str(error.get('detail') or '')
    holders = error.get('holders') or {}
    if holders.get('instances'):
        text += f'; instances: {", ".join(holders["instances"])}'
    return text
