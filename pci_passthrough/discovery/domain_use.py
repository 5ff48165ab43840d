# SPDX-License-Identifier: Apache-2.0
"""Finds the PCI functions that running guests have, in libvirt's XML. Pure."""

from collections.abc import Iterable
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
    for document in documents:
        try:
            # Trusted: the local libvirtd, which runs as root, wrote it.
            domain = ElementTree.fromstring(document)  # noqa: S314
        except ElementTree.ParseError as error:
            raise ValueError(f'malformed domain XML: {error}') from error
        name = domain.findtext('name') or 'without a name'
        for source in domain.iter('source'):
            for address in source.iter('address'):
                if all(address.get(part) for part in _PARTS):
                    functions[node_device.address_of(address.attrib)] = name
    return functions
