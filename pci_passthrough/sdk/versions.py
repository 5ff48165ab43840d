# SPDX-License-Identifier: Apache-2.0
"""The versions of a service, and the choice of a microversion."""

import re
from typing import NamedTuple

from keystoneauth1 import discover
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import session as keystone_session
from openstack import exceptions

from pci_passthrough.sdk import errors

#: The choice "the newest that both the service and this package know", which
#: is None for keystoneauth.
NEWEST = 'latest'

#: The newest microversion that this package knows.
_KNOWN = (1, 4)

_VERSION = re.compile(r'1\.(0|[1-9][0-9]*)')
_NEWEST = ('1', '1.latest', NEWEST)


class Served(NamedTuple):
    """What a service answered about its version 1.

    :ivar url: of ``/v1``, as the catalogue or the user names the service. The
        link in the answer has the host that the service sees, which differs
        behind some proxies.
    :ivar oldest: its oldest microversion.
    :ivar newest: its newest microversion.
    """

    url: str
    oldest: tuple[int, ...]
    newest: tuple[int, ...]

    def __str__(self) -> str:
        return f'{_text(self.oldest)} to {_text(self.newest)}'


def parse(text: str) -> str | None:
    """Parse a version that a user requested.

    :param text: ``1.0``; or ``latest``, ``1`` or ``1.latest``
    :returns: ``1.0``; None means the newest that both sides know.
    :raises openstack.exceptions.NotSupported: the text is no version.
    """
    if text in _NEWEST:
        return None
    if not _VERSION.fullmatch(text):
        raise exceptions.NotSupported(
            f'{text!r} is not a version of the PCI passthrough API; valid '
            f'versions are for example {_text(_KNOWN)} and latest'
        )
    return text


def served(session: keystone_session.Session, endpoint: str) -> Served:
    """Ask a service for its versions.

    :param endpoint: with or without ``/v1`` at its end.
    :raises errors.ServiceError: the service refuses to answer.
    :raises errors.ServiceUnreachable: nobody answers, or another service.
    """
    root = endpoint.rstrip('/')
    has_version = root.endswith('/v1')
    url = root if has_version else f'{root}/'
    status = 200
    try:
        document = discover.Discover(session, url, authenticated=False)
        version = document.versioned_data_for(
            min_version='1', max_version='1.latest'
        )
    except keystone_exceptions.ConnectionError as error:
        raise errors.unanswered(error) from error
    except keystone_exceptions.HttpError as error:
        status = error.http_status
        if error.response is not None and (
            status in (401, 403) or status >= 500
        ):
            raise errors.from_response(error.response) from error
        version = None
    except (
        keystone_exceptions.DiscoveryFailure,
        AttributeError,
        KeyError,
        TypeError,
    ):
        version = None
    if not version or not version['max_microversion']:
        raise errors.ServiceUnreachable(
            f'{url} does not answer like the PCI passthrough service (HTTP '
            f'{status}): is the endpoint right?'
        )
    return Served(
        root if has_version else f'{root}/v1',
        version['min_microversion'] or (1, 0),
        version['max_microversion'],
    )


def choose(requested: str | None, service: Served) -> str:
    """Return the microversion for the requests.

    A microversion that the user requested is used even if this package is
    older. Answers may then have fields that it does not declare.

    :param requested: the user's choice, as :func:`parse` returns it.
    :raises openstack.exceptions.NotSupported: with the service's versions.
    """
    if requested:
        number = discover.normalize_version_number(requested)
        if not service.oldest <= number <= service.newest:
            raise exceptions.NotSupported(
                f'the service does not have version {requested} of the PCI '
                f'passthrough API: it has {service}'
            )
        return requested
    common = min(service.newest, _KNOWN)
    if common < service.oldest:
        raise exceptions.NotSupported(
            f'the service has versions {service} of the PCI passthrough API, '
            f'and this client knows 1.0 to {_text(_KNOWN)}: one of them must '
            'be upgraded'
        )
    return _text(common)


def _text(version: tuple[int, ...]) -> str:
    return '.'.join(map(str, version))
