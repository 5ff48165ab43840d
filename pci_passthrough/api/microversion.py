# SPDX-License-Identifier: Apache-2.0
"""Microversions: the history of the interface, and which one a request means.

A client that names none gets the oldest, so it sees the interface that it
was written for.
"""

from collections.abc import Iterable
from typing import Final

import microversion_parse

from pci_passthrough.api import errors

#: In the catalogue, and in the header that names a microversion.
SERVICE_TYPE: Final = 'pci-passthrough'

HEADER: Final = microversion_parse.STANDARD_HEADER

#: All there are, oldest first:
#:
#: * 1.0 - the first one
VERSIONS: Final = ('1.0',)

MIN: Final = VERSIONS[0]
MAX: Final = VERSIONS[-1]


def of(headers: Iterable[tuple[str, str]]) -> microversion_parse.Version:
    """Return the microversion that a request asks for.

    :param headers: of the request, names and values.
    :raises ApiError: 400 if it is none, 406 if it is not known here.
    """
    text = microversion_parse.get_version(headers, SERVICE_TYPE) or MIN
    try:
        wanted = microversion_parse.parse_version_string(
            MAX if text == 'latest' else text
        )
    except (TypeError, ValueError) as error:
        raise errors.ApiError(
            400,
            f'{HEADER}: {text!r} is no microversion; right would be, for '
            f'example: {SERVICE_TYPE} {MAX}',
        ) from error
    if str(wanted) not in VERSIONS:
        raise errors.ApiError(
            406,
            f'Microversion {wanted} is not supported; there are {MIN} to '
            f'{MAX}.',
            extra={'min_version': MIN, 'max_version': MAX},
        )
    return wanted
