# SPDX-License-Identifier: Apache-2.0
"""Which microversion to speak. Pure: the client asks, and calls this."""

import dataclasses
import re
from typing import Any

from pci_passthrough.osc import errors

#: What is meant by "the newest that both sides know".
NEWEST = '1.latest'

_WORDS = re.compile(r'(latest|1|1\.latest|1\.(0|[1-9][0-9]*))')


@dataclasses.dataclass(frozen=True)
class Range:
    """Microversions of major version 1, both ends included."""

    oldest: int
    newest: int

    def __str__(self) -> str:
        return f'1.{self.oldest} to 1.{self.newest}'


#: What this client knows.
KNOWN = Range(0, 0)


def parse(text: str) -> str:
    """Return what a user named, in its shortest form.

    :param text: ``1.0``; or ``latest``, ``1`` or ``1.latest``
    :raises errors.VersionUnsupported: if it is none of them.
    """
    if not _WORDS.fullmatch(text):
        raise errors.VersionUnsupported(
            f'{text!r} is not a version of the PCI passthrough API; right '
            f'would be 1.{KNOWN.newest}, for example, or latest'
        )
    return text if text.startswith('1.') else NEWEST


def served(document: Any) -> Range | None:
    """Return what a discovery document offers; None if it is none.

    :param document: the answer at ``/`` (``versions``) or ``/v1``
        (``version``), parsed.
    """
    try:
        versions = document.get('versions') or [document['version']]
        [found] = (item for item in versions if item['id'].startswith('v1'))
        oldest, newest = (
            [int(number) for number in found[key].split('.')]
            for key in ('min_version', 'max_version')
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if (len(oldest), len(newest), oldest[0], newest[0]) != (2, 2, 1, 1):
        return None
    return Range(oldest[1], newest[1])


def choose(wanted: str, service: Range) -> str:
    """Return the microversion to ask for.

    What a user named is taken as it is, even if this client is older: the
    answers may then have fields which are not shown.

    :param wanted: as :func:`parse` returns it.
    :raises errors.VersionUnsupported: naming what the service has.
    """
    if wanted != NEWEST:
        named = int(wanted.partition('.')[2])
        if not service.oldest <= named <= service.newest:
            raise errors.VersionUnsupported(
                f'the service does not have version {wanted} of the PCI '
                f'passthrough API: it has {service}'
            )
        return wanted
    common = min(service.newest, KNOWN.newest)
    if common < max(service.oldest, KNOWN.oldest):
        raise errors.VersionUnsupported(
            f'the service has versions {service} of the PCI passthrough API, '
            f'and this client knows {KNOWN}: one of them has to be upgraded'
        )
    return f'1.{common}'
