# SPDX-License-Identifier: Apache-2.0
"""Which of a host's devices are offered, which are refused, and why.

``offer`` and ``Remembered`` decide and are pure; ``scan`` does the reading.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from pci_passthrough.discovery import host_root as host_root_module
from pci_passthrough.discovery import host_use
from pci_passthrough.discovery import node_device
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information as pci_information_module

_HIDDEN = device_obj.HIDDEN_IN_GUESTS


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """A device that guests may have; ``extra_info`` and ``offered_by`` set."""

    device: device_obj.PciDevice
    entry: pci_information_module.Entry


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """A device that an entry matches and the host needs for itself."""

    device: device_obj.PciDevice
    entry: pci_information_module.Entry
    #: words for a person
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Scan:
    """What one look at a host's devices came to, all sorted by address."""

    offered: list[Offer]
    refused: list[Refused]
    #: addresses of devices that no entry matches, or that one excludes
    others: list[str]
    #: True if nobody could tell what the host uses: nothing was refused
    use_unknown: bool

    @property
    def withdrawn(self) -> list[str]:
        """Addresses of all devices which are there and not offered."""
        return sorted(
            [
                *self.others,
                *(str(item.device.address) for item in self.refused),
            ]
        )


class Remembered:
    """What devices were before a guest got them.

    A device of a guest is bound to vfio-pci and has lost its network
    interface. Without this, an entry that matches ``driver`` or ``devname``
    would stop matching, and the device would leave its pool, while a guest
    has it. Not thread-safe.

    What is remembered is forgotten when the device goes, or another one is
    at its address. An agent that is started while guests have devices has
    seen nothing of them: those which it offered by ``driver`` or ``devname``
    are withdrawn until they are back, and stay with their owners.
    """

    def __init__(self) -> None:
        self._devices: dict[str, device_obj.PciDevice] = {}

    def restore(
        self, devices: Iterable[device_obj.PciDevice]
    ) -> list[device_obj.PciDevice]:
        """Learn from one whole listing; fill in what guests' devices lost.

        A device without a driver is left as it is and teaches nothing: on
        the way to a guest and back it has none for a moment.

        :param devices: all devices of the host.
        :returns: the same devices, those of guests as they were before.
        """
        restored = []
        known = {}
        for device in devices:
            before = self._devices.get(device.address)
            if before is not None and not _same_hardware(before, device):
                before = None
            if device.is_bound_to_host:
                before = device
            elif before is not None and device.driver is not None:
                device = device.replace(
                    **{
                        name: getattr(before, name)
                        for name in device_obj.HIDDEN_IN_GUESTS
                    }
                )
            if before is not None:
                known[device.address] = before
            restored.append(device)
        self._devices = known
        return restored


def _same_hardware(
    one: device_obj.PciDevice, other: device_obj.PciDevice
) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ('vendor_id', 'product_id', 'parent_addr')
    )


def offer(
    devices: Iterable[device_obj.PciDevice],
    uses: Mapping[str, str] | None,
    pci_information: pci_information_module.PciInformation,
) -> Scan:
    """Decide what becomes of each device. Pure.

    :param devices: all devices of a host.
    :param uses: why the host needs a device for itself, by address; a
        device without an entry is free. None: nobody knows, nothing is
        refused.
    :param pci_information: what the host may offer.
    """
    devices = sorted(devices, key=lambda device: str(device.address))
    devnames = {device.address: device.devname for device in devices}
    offered, refused, others = [], [], []
    for device in devices:
        parent = device.parent_addr
        parent_devname = None if parent is None else devnames.get(parent)
        entry = pci_information.find(device, parent_devname)
        if entry is None or entry.exclude:
            others.append(str(device.address))
            continue
        device = device.replace(
            extra_info=dict(entry.extra_info), offered_by=_text_of(entry)
        )
        reason = None if uses is None else uses.get(device.address)
        if reason is None or entry.allow_in_use:
            offered.append(Offer(device, entry))
        else:
            refused.append(Refused(device, entry, reason))
    return Scan(offered, refused, others, use_unknown=uses is None)


def _text_of(entry: pci_information_module.Entry) -> str:
    """Return an entry as it is told to others, who keep no more of it."""
    text = entry.canonical
    if len(text) > device_obj.LONGEST_OFFERED_BY:
        return f'{text[: device_obj.LONGEST_OFFERED_BY - 3]}...'
    return text


def fill_in(
    devices: Iterable[device_obj.PciDevice],
    functions: Mapping[str, host_use.Function],
) -> None:
    """Add to devices, in place, what libvirt does not tell and sysfs does.

    That is the subsystem ids, and for libvirt's test driver, which drops
    it, the driver.
    """
    for device in devices:
        function = functions.get(device.address)
        if function is None:
            continue
        device.subsystem_vendor_id = function.subsystem_vendor_id
        device.subsystem_id = function.subsystem_id
        if device.driver is None:
            device.driver = function.driver
        if device.total_vfs is None:
            device.total_vfs = function.total_vfs


def scan(
    listing: Iterable[str],
    host_root: host_root_module.HostRoot | None,
    pci_information: pci_information_module.PciInformation,
    remembered: Remembered | None = None,
) -> Scan:
    """Read the host's own files, and decide what becomes of each device.

    :param listing: the XML of the host's node devices, as
        ``LibvirtHost.list_node_devices`` returned it just now.
    :param host_root: None for a remote libvirt or the test driver alone:
        the host's own use of its devices is not known then.
    :param remembered: the same object for each scan of a host.
    """
    devices = node_device.parse_listing(listing)
    uses: dict[str, str] | None = None
    if host_root is not None:
        # After the listing: a device that comes in between is in neither,
        # one that goes is refused for a moment, not given away.
        facts = host_root.facts()
        uses = host_use.uses(facts)
        for device in devices:
            if device.address not in facts.functions:
                uses[device.address] = host_root.unknown_function()
        fill_in(devices, facts.functions)
    if remembered is not None:
        devices = remembered.restore(devices)
    return offer(devices, uses, pci_information)
