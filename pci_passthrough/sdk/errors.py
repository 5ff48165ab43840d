# SPDX-License-Identifier: Apache-2.0
"""Errors of the service, as exceptions of openstacksdk.

::

    openstack.exceptions.SDKException
      HttpException
        ServiceError          the service answered with an error
          BadRequest          ... which is a BadRequestException, too
          Forbidden           ... ForbiddenException
          NotFound            ... NotFoundException
          Conflict            ... ConflictException
          PreconditionFailed  ... PreconditionFailedException
      ServiceUnreachable      the endpoint does not answer, or is another one
      EndpointNotFound        the catalogue does not list the service
      NotSupported            both sides have no microversion in common

Each message is one line, and has the text of the service.
"""

from typing import Any
from typing import TYPE_CHECKING

from openstack import exceptions

if TYPE_CHECKING:
    import requests


class ServiceUnreachable(exceptions.SDKException):
    """The endpoint does not answer, or is another service."""


class ServiceError(exceptions.HttpException):
    """The service answered with an error.

    :ivar status_code: HTTP status, for example 428
    :ivar details: the service's text, as one line
    :ivar code: stable code, for example ``pci_flavor.not_found``; None if
        another program answered instead of the service
    :ivar instances: UUIDs of the instances that hold devices, if they are the
        reason and the user may see them
    :ivar request_id: under which the service has logged the request
    """

    def __init__(self, response: 'requests.Response') -> None:
        first, *others = _errors(response) or [{}]
        texts = [_text(error) for error in (first, *others)]
        details = '; '.join(filter(None, texts))
        super().__init__(
            response=response,
            details=details or f'{response.url} says: {response.reason}',
        )
        self.code: str | None = first.get('code')
        self.instances: list[str] = _holders(first)
        self.request_id = first.get('request_id') or self.request_id
        # Programs print either.
        self.message = str(self)

    def __str__(self) -> str:
        identifiers = (f'HTTP {self.status_code}', self.code, self.request_id)
        return f'{self.details} ({", ".join(filter(None, identifiers))})'


class BadRequest(ServiceError, exceptions.BadRequestException):
    """The request is not valid."""


class Forbidden(ServiceError, exceptions.ForbiddenException):
    """The policies do not allow the request."""


class NotFound(ServiceError, exceptions.NotFoundException):
    """There is no such thing, or the user does not see it."""


class Conflict(ServiceError, exceptions.ConflictException):
    """The present state does not allow the change."""


class PreconditionFailed(ServiceError, exceptions.PreconditionFailedException):
    """Another client changed the thing meanwhile."""


#: Who names the state that a change is based on by its generation gets 409,
#: who names it by an ETag 412.
_CHANGED = 'pci_flavor.changed'

_CLASSES: dict[int, type[ServiceError]] = {
    400: BadRequest,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
}


def from_response(response: 'requests.Response') -> ServiceError:
    """Return the exception for a response whose status is 400 or more.

    Keystone's middleware and proxies answer with bodies of other forms than
    the service; the service has its text in ``errors`` in all microversions.
    """
    codes = [error.get('code') for error in _errors(response)]
    status = 412 if _CHANGED in codes else response.status_code
    return _CLASSES.get(status, ServiceError)(response)


def unanswered(error: Exception) -> ServiceUnreachable:
    """Return the exception for an error of the connection."""
    return ServiceUnreachable(
        f'the PCI passthrough service does not answer: {error}'
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
    text = ' '.join(str(error.get('detail') or '').split())
    instances = _holders(error)
    if instances:
        text += f'; instances: {", ".join(instances)}'
    return text


def _holders(error: dict[str, Any]) -> list[str]:
    return list((error.get('holders') or {}).get('instances') or ())
