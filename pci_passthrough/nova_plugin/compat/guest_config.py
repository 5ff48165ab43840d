# SPDX-License-Identifier: Apache-2.0
"""Nova's description of a guest, from which it makes the domain's XML."""

from typing import Any

from lxml import etree
from nova.virt.libvirt.config import LibvirtConfigGuestDevice

__all__ = ['LibvirtConfigGuestDevice']


class Element(LibvirtConfigGuestDevice):
    """A device of a guest whose XML is known.

    :param xml: the element below ``<devices>``.
    :raises ValueError: it is not well-formed.
    """

    def __init__(self, xml: str) -> None:
        try:
            self._element = etree.fromstring(xml)
        except etree.XMLSyntaxError as error:
            raise ValueError(f'{error}: {xml}') from error
        super().__init__(root_name=self._element.tag)

    def format_dom(self) -> Any:
        """Return the element; Nova calls it to make the domain's XML."""
        return etree.fromstring(etree.tostring(self._element))
