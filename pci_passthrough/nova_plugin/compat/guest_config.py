# SPDX-License-Identifier: Apache-2.0
"""Nova's description of a guest, from which it makes the domain's XML."""

from collections.abc import Iterable
from typing import Any

from lxml import etree
from nova.virt.libvirt.config import LibvirtConfigGuestDevice
from nova.virt.libvirt.config import LibvirtConfigGuestUSBHostController

__all__ = ['LibvirtConfigGuestDevice', 'LibvirtConfigGuestUSBHostController']


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

    @property
    def is_on_usb(self) -> bool:
        """Whether the guest needs a USB controller for it."""
        return bool(self._element.get('type') == 'usb')

    def format_dom(self) -> Any:
        """Return the element; Nova calls it to make the domain's XML."""
        return etree.fromstring(etree.tostring(self._element))


def add(guest: Any, elements: Iterable[Element]) -> None:
    """Add devices to a guest.

    Nova disables the USB controller of a guest that has no USB device of its
    own (``LibvirtDriver._guest_add_usb_root_controller``), and libvirt would
    refuse one then.

    :param guest: Nova's ``LibvirtConfigGuest``.
    """
    needs_usb = False
    for element in elements:
        guest.add_device(element)
        needs_usb = needs_usb or element.is_on_usb
    for device in guest.devices:
        if (
            needs_usb
            and isinstance(device, LibvirtConfigGuestUSBHostController)
            and device.model == 'none'
        ):
            # libvirt chooses the model.
            device.model = None
