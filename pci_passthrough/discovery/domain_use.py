# SPDX-License-Identifier: Apache-2.0
"""Finds the devices that running guests have, in libvirt's XML. Pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from xml.etree import ElementTree

from pci_passthrough.discovery import node_device

_PARTS = ('domain', 'bus', 'slot', 'function')


def users(documents: Iterable[str]) -> dict[str, str]:
    """Return the names of the domains that have functions, by address.

    Each address of four parts below a ``source`` counts: that of a
    ``hostdev``, of an ``interface`` of type ``hostdev``, and of a ``disk`` of
    type ``nvme`` (https://libvirt.org/formatdomain.html).

    :param documents: the XML of the running domains.
    :raises ValueError: a document is malformed.
    """
    functions = {}
    for domain, name in _domains(documents):
        for source in domain.iter('source'):
            for address in source.iter('address'):
                if all(address.get(part) for part in _PARTS):
                    functions[node_device.address_of(address.attrib)] = name
    return functions


def user_of(element: str, documents: Iterable[str]) -> str | None:
    """Return the name of a domain that has a device, None for none.

    :param element: the ``hostdev`` with which the device would be given to a
        guest; see ``ResourceType.guest_device``.
    :param documents: the XML of the running domains.
    :raises ValueError: a document, or the element, is malformed.
    """
    wanted = _source(_parsed(element))
    if wanted is None:
        return None
    for domain, name in _domains(documents):
        if wanted in map(_source, domain.iter('hostdev')):
            return name
    return None


def _domains(
    documents: Iterable[str],
) -> Iterator[tuple[ElementTree.Element, str]]:
    for document in documents:
        domain = _parsed(document)
        yield domain, domain.findtext('name') or 'without a name'


def _parsed(document: str) -> ElementTree.Element:
    try:
        # Trusted: the local libvirtd, which runs as root, wrote it, or a
        # resource type.
        return ElementTree.fromstring(document)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError(f'malformed domain XML: {error}') from error


def _source(
    hostdev: ElementTree.Element,
) -> tuple[str | None, frozenset[tuple[str, str]]] | None:
    """Return type and address of a device, None without an address."""
    address = hostdev.find('source/address')
    if address is None:
        return None
    return hostdev.get('type'), frozenset(
        (name, _plain(value)) for name, value in address.items()
    )


def _plain(value: str) -> str:
    """Return a number in decimal digits, another text in lower case."""
    try:
        return str(int(value, 0))
    except ValueError:
        return value.lstrip('0').lower()
