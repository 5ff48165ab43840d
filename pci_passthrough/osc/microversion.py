# SPDX-License-Identifier: Apache-2.0
"""Choice of the microversion of the REST API. Pure."""

import dataclasses
import re
from typing import Any

from pci_passthrough.osc import errors

#: The user's choice "the newest that both client and service know".
NEWEST = '1.latest'

_VERSION = re.compile(r'(latest|1|1\.latest|1\.(0|[1-9][0-9]*))')


@dataclasses.dataclass(frozen=True)
class Range:
    """Microversions of major version 1, both ends included."""

    oldest: int
    newest: int

    def __str__(self) -> str:
        return f'1.{self.oldest} to 1.{self.newest}'


#: The microversions that this client knows.
KNOWN = Range(0, 4)


def parse(text: str) -> str:
    """Normalize the microversion that a user requested.

    :param text: ``1.0``; or ``latest``, ``1`` or ``1.latest``
    :returns: ``1.0`` or :data:`NEWEST`
    :raises errors.VersionUnsupported: the text is no microversion.
    """
    if not _VERSION.fullmatch(text):
        raise errors.VersionUnsupported(
            f'{text!r} is not a version of the PCI passthrough API; valid '
            f'versions are for example 1.{KNOWN.newest} and latest'
        )
    return text if text.startswith('1.') else NEWEST


def served(document: Any) -> Range | None:
    """Return the microversions that a discovery document offers.

    :param document: parsed body of the response at ``/`` (``versions``) or
        ``/v1`` (``version``).
    :returns: None means that the document is not one of this service.
    """
    try:
        versions = document.get('versions') or [document['version']]
        [version1] = (v for v in versions if v['id'].startswith('v1'))
        oldest, newest = (
            [int(number) for number in version1[key].split('.')]
            for key in ('min_version', 'max_version')
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if (len(oldest), len(newest), oldest[0], newest[0]) != (2, 2, 1, 1):
        return None
    return Range(oldest[1], newest[1])


def choose(requested: str, service: Range) -> str:
    """Return the microversion for the requests.

    A microversion that the user requested is used even if this client is
    older. Responses may then have fields that the client does not show.

    :param requested: the user's choice, as :func:`parse` returns it.
    :raises errors.VersionUnsupported: with the service's microversions.
    """
    if requested != NEWEST:
        minor = int(requested.partition('.')[2])
        if not service.oldest <= minor <= service.newest:
            raise errors.VersionUnsupported(
                f'the service does not have version {requested} of the PCI '
                f'passthrough API: it has {service}'
            )
        return requested
    common = min(service.newest, KNOWN.newest)
    if common < max(service.oldest, KNOWN.oldest):
        raise errors.VersionUnsupported(
            f'the service has versions {service} of the PCI passthrough API, '
            f'and this client knows {KNOWN}: one of them must be upgraded'
        )
    return f'1.{common}'
