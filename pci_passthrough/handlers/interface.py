# SPDX-License-Identifier: Apache-2.0
"""The interface of handlers, for this project's and for others."""

import abc
from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import enum
from typing import Any
from typing import ClassVar
from typing import Self

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields
from pci_passthrough.specs import handler_command

#: Reports how far a verb is: percent, None if it is unknown, and a text of one
#: line. A handler calls it as often as it likes.
Progress = Callable[[int | None, str], None]


class Verb(enum.StrEnum):
    """What a handler does with a device."""

    #: remove what an owner left on the device
    CLEAN = 'clean'
    #: prove, without changing the device, that it is clean
    VERIFY = 'verify'
    #: make the device ready for its next owner
    SETUP = 'setup'


class HandlerError(Exception):
    """A verb failed: the device must not get to another owner.

    :param text: what failed, one line.
    :param output: what the verb has done and seen before, any lines.
    """

    def __init__(self, text: str, output: str = '') -> None:
        super().__init__(text, output)
        self.text = text
        self.output = output

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The facts about one device; those of ``objects.PciDevice``."""

    #: ``pci`` for a PCI function
    resource_type: str = fields.ResourceType.PCI
    #: ``dddd:bb:ss.f`` for a PCI function
    address: str
    #: four hexadecimal digits
    vendor_id: str | None
    #: four hexadecimal digits
    product_id: str | None
    #: six hexadecimal digits
    pci_class: str | None
    #: ``type-PCI``, ``type-PF``, ``type-VF`` or ``vdpa``; None for what is no
    #: PCI function
    dev_type: str | None
    subsystem_vendor_id: str | None = None
    subsystem_id: str | None = None
    #: address of the physical function of a virtual function
    parent_addr: str | None = None
    #: driver on the host when it was scanned, None for none
    driver: str | None = None
    numa_node: int | None = None
    iommu_group: int | None = None
    serial_number: str | None = None
    total_vfs: int | None = None
    #: tags of the entry of pci_information
    extra_info: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, device: device_obj.PciDevice) -> Self:
        """Return the facts about a scanned device."""
        facts = {
            field.name: device.get(field.name)
            for field in dataclasses.fields(cls)
            if field.name in device
        }
        facts['extra_info'] = dict(device.extra_info)
        return cls(**facts)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return the device that ``as_dict`` described."""
        return cls(**facts)

    @property
    def is_function(self) -> bool:
        """Whether it is a PCI function."""
        return self.resource_type == fields.ResourceType.PCI

    @property
    def kind(self) -> str:
        """What it is, for people."""
        if not self.is_function:
            return f'device of type {self.resource_type}'
        return f'{self.dev_type} of class {self.pci_class}'

    def has_class(self, prefix: str) -> bool:
        """Whether it is a PCI function of a class."""
        return self.is_function and (self.pci_class or '').startswith(prefix)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return dataclasses.asdict(self)


#: An operator's program, from ``[agent] handler_command``.
Command = handler_command.HandlerCommand


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """The host on which handlers run."""

    #: directory with the host's ``sys`` and ``dev``
    root: str = '/'
    commands: Mapping[str, Command] = dataclasses.field(default_factory=dict)
    #: seconds after which a verb is killed, from its start
    timeout: float = 14400.0


class DeviceHandler(abc.ABC):
    """Cleans and sets up devices of a kind.

    A subclass implements ``supports`` and the verbs that it has. For a device
    that comes back, the verbs ``clean`` of all its handlers run, in the order
    of the entry, then all ``verify``, then all ``setup``. For a device that is
    offered for the first time only ``setup`` runs. Each verb runs in a process
    of its own, in a new object, and can be killed at any time: nothing of an
    object survives, and a verb that was interrupted runs again from its
    beginning.

    A verb returns what it has done, in any number of lines for operators, and
    raises ``HandlerError`` if the device is not as it should be. A verb that a
    subclass does not implement does nothing.

    :param argument: what follows the colon in the entry's ``"name:argument"``,
        None without a colon.
    :param host: the host's root directory and the operator's programs.
    :raises ValueError: the argument cannot be used; the text says why.
    """

    #: whether ``clean`` erases what is stored on the device: then a label
    #: that an owner left on a disk does not keep the device from being
    #: offered
    erases_storage: ClassVar[bool] = False

    def __init__(self, argument: str | None, host: Host) -> None:
        if argument is not None:
            raise ValueError('takes no argument')
        self.host = host

    @abc.abstractmethod
    def supports(self, device: Device) -> bool:
        """Whether the handler is made for devices of this kind.

        It is asked before each verb, and must only look at the facts.
        """

    def obstacle(self, device: Device) -> str | None:
        """Return why this host cannot run the handler for a device.

        It is asked with each scan if the handler is the default of a class,
        and by the dry run. It looks at the host, quickly, and changes nothing.

        :returns: one line, None if nothing is known against it.
        :raises HandlerError: the host has no such function.
        """
        return None

    def is_set_up(self, device: Device) -> bool:
        """Whether ``setup`` need not run again for a device now.

        It is asked with each scan, looks at the host quickly, and changes
        nothing. If it is False, which is so after a start of the host for what
        only exists in memory, the agent runs ``setup`` at once, also for a
        device that an instance has.

        :raises HandlerError: the host cannot tell.
        """
        return True

    def setup(self, device: Device, progress: Progress) -> str:
        """Make a clean device ready for its next owner."""
        return ''

    def clean(self, device: Device, progress: Progress) -> str:
        """Remove what the last owner left."""
        return ''

    def verify(self, device: Device, progress: Progress) -> str:
        """Prove that nothing of the last owner is left; change nothing."""
        return ''

    def verbs(self) -> tuple[Verb, ...]:
        """Return the verbs that the handler implements."""
        return tuple(
            verb
            for verb in Verb
            if getattr(type(self), verb) is not getattr(DeviceHandler, verb)
        )
