# SPDX-License-Identifier: Apache-2.0
"""Microversions: all that exist, and which one a request is for.

A client that names none gets the oldest, and so the interface that it was
written for.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Final

import microversion_parse
from werkzeug import wrappers

from pci_passthrough.api import errors

#: In Keystone's catalogue, and in the header that names a microversion.
SERVICE_TYPE: Final = 'pci-passthrough'

HEADER: Final = microversion_parse.STANDARD_HEADER

#: All microversions, oldest first:
#:
#: * 1.0 - the first one
#: * 1.1 - vgpu_type of pools and PCI devices; serial_number, refusal and
#:   conflict of PCI devices, their states refused and conflict, and the
#:   condition refused of explanations; warnings about PCI flavors that are
#:   created, changed or explained; the action resolve; handlers,
#:   preparation_..., quarantine_reason, failed_starts and start_failure of
#:   PCI devices, and the action clean
#: * 1.2 - deletion of hosts; refusals; steps and left of explanations for
#:   projects; pci_flavor of PCI devices
#: * 1.3 - resource_type of pools and PCI devices, and the filter by it;
#:   without it they have no vendor_id, product_id, pci_class and dev_type if
#:   they are no PCI functions; resources of availability
#: * 1.4 - message of errors, the texts of all of them in one line; origin of
#:   PCI flavors, and the filter by it; aggregate_metadata of PCI flavors, and
#:   the condition aggregate of explanations; states of availability; warnings
#:   about PCI flavors that are shown, and about groups of hosts; usages
VERSIONS: Final = ('1.0', '1.1', '1.2', '1.3', '1.4')

MIN: Final = VERSIONS[0]
MAX: Final = VERSIONS[-1]


def includes(version: str, older: str) -> bool:
    """Return whether a microversion is another one or comes after it.

    :param version: one of ``VERSIONS``, as ``older`` is.
    """
    return VERSIONS.index(version) >= VERSIONS.index(older)


def known(
    names: Iterable[str], version: str, added: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    """Return the properties that a microversion has.

    :param names: those of ``MAX``.
    :param added: the properties that a microversion has added.
    """
    later = {
        name
        for since, properties in added.items()
        if not includes(version, since)
        for name in properties
    }
    return tuple(name for name in names if name not in later)


def of(request: wrappers.Request) -> str:
    """Return the microversion that a request is for.

    :raises MalformedRequest: the header is not one of a microversion.
    :raises UnsupportedVersion: this release does not know it.
    """
    text = microversion_parse.get_version(request.environ, SERVICE_TYPE) or MIN
    try:
        version = microversion_parse.parse_version_string(
            MAX if text == 'latest' else text
        )
    except (TypeError, ValueError) as error:
        raise errors.MalformedRequest(
            f'{HEADER}: {text!r} is not a microversion; a correct header is, '
            f'for example: {SERVICE_TYPE} {MAX}'
        ) from error
    if str(version) not in VERSIONS:
        raise errors.UnsupportedVersion(
            f'Microversion {version} is not supported; supported are {MIN} '
            f'to {MAX}.',
            MIN,
            MAX,
        )
    return str(version)
