# SPDX-License-Identifier: Apache-2.0
"""The interface of resource types, for this project's and for others."""

import abc
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import ClassVar

from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information


class ResourceTypeError(Exception):
    """A guest cannot get a device: the text, one line, says why."""


class NotThereYet(ResourceTypeError):
    """The agent is about to make the device: asking again may help."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A device that a resource type has found.

    :ivar device: with its ``HARDWARE_FIELDS`` and ``resource_type``.
    :ivar refusal: why the host refuses it although an entry matches it, a
        text for people; None if nothing is against it.
    :ivar function: address of a PCI function that no guest can have while
        this device is offered, because the device is behind it; None for the
        device's ``parent_addr``.
    :ivar is_given_out: whether a guest, or another program, has it now, as
        far as the host shows. A label that is on its disk afterwards can be
        the guest's, and is not taken for the host's.
    """

    device: device_obj.PciDevice
    refusal: str | None = None
    function: str | None = None
    is_given_out: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a resource type may look at during one scan of a host."""

    #: the host's name in Nova
    name: str
    #: directory with the host's ``sys`` and ``dev``; None if it is elsewhere
    root: str | None
    #: XML of libvirt's node devices in this scan: PCI functions, network
    #: interfaces, USB devices, mediated devices
    documents: Sequence[str] = ()
    #: the PCI functions of this scan, with all facts
    functions: Sequence[device_obj.PciDevice] = ()
    #: the entries of pci_information about this type, in their order
    entries: Sequence[pci_information.Entry] = ()


class ResourceType(abc.ABC):
    """One kind of devices that are no PCI functions.

    A subclass has no state: the agent asks it with each scan, and nova-compute
    asks another object of it.
    """

    #: the value of ``resource_type`` in pci_information and in PCI flavors
    name: ClassVar[str]
    #: whether an instance with such a device can be live-migrated; if not, an
    #: entry cannot have the tag ``live_migratable``
    can_live_migrate: ClassVar[bool] = False
    #: the handlers of devices whose entry names none
    default_handlers: ClassVar[tuple[str, ...]] = ()
    #: whether ``find`` heeds the ``count`` of entries; otherwise an entry
    #: offers as many of its devices, the first ones by address
    heeds_count: ClassVar[bool] = False

    #: an entry about this type, for errors about others
    example: ClassVar[str] = pci_information.EXAMPLE

    def check(self, entry: pci_information.Entry) -> None:
        """Check an entry about this type, when the agent starts.

        :raises ValueError: the entry lacks something; the text says what.
        """

    @abc.abstractmethod
    def find(self, host: Host) -> Iterable[Found]:
        """Return all devices of the type, also those that no entry matches.

        :raises OSError: the host cannot be read now.
        """

    def guest_device(
        self, device: device_obj.PciDevice, root: str = '/'
    ) -> str | None:
        """Return the element of a domain that gives a device to its guest.

        nova-compute calls it on the device's host, directly before it defines
        the domain.

        :param root: directory with the host's ``sys``.
        :returns: XML, for example ``<hostdev …>``
            (https://libvirt.org/formatdomain.html); None if the device is
            nothing that libvirt knows.
        :raises ResourceTypeError: the device is not there, or is another one.
            After ``NotThereYet`` it is asked again, for a minute after the
            start of nova-compute.
        """
        return None

    def leftovers(
        self, host: Host, planned: Iterable[device_obj.PciDevice]
    ) -> Iterable[device_obj.PciDevice]:
        """Return devices that the agent has made and no entry wants any more.

        The agent lets the ``default_handlers`` remove those that nobody has.

        :param planned: the devices of the type that the scan has found.
        :raises OSError: the host cannot be read now.
        """
        return ()

    def nodes(
        self, device: device_obj.PciDevice, root: str = '/'
    ) -> Iterable[str]:
        """Return the nodes in ``/dev`` by which processes use a device.

        Handlers leave a device alone that somebody has open.

        :param root: directory with the host's ``sys``.
        """
        return ()
