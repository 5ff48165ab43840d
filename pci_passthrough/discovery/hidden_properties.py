# SPDX-License-Identifier: Apache-2.0
"""The properties that devices lose while guests have them. Pure."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import identity
from pci_passthrough.objects import lifecycle


class HiddenProperties:
    """Remembers the properties that devices lose while guests have them.

    A device in a guest is bound to vfio-pci and has no network interface on
    the host. Without this memory, entries with ``driver`` or ``devname``
    would not match the device, and the device would leave its pool, while a
    guest has it. Not thread-safe.

    The properties of a device are forgotten when the device disappears or
    different hardware is at its address. ``recall`` brings back those from
    before this process.
    """

    def __init__(self) -> None:
        self._devices: dict[str, device_obj.PciDevice] = {}
        self._given_out: dict[str, device_obj.PciDevice] = {}
        self._recalled: dict[str, identity.Identity] = {}
        self._others_given_out: dict[str, identity.Identity] = {}

    def recall(
        self,
        known: Iterable[device_obj.PciDevice],
        given_out: Collection[str] = (),
    ) -> None:
        """Remember what a conductor knows from before this process.

        Of a device that instances have had and that is on the host again, it
        is remembered only if its serial number proves that it is the same:
        a label on another disk would be the host's.

        :param known: the host's devices that are offered or held.
        :param given_out: addresses of those that instances have had.
        """
        for device in known:
            if device.get('conflict') is not None:
                # Its hardware is not at its address.
                continue
            if device.status in lifecycle.OWNED:
                self._devices.setdefault(device.address, device)
            if device.address in given_out:
                self._recalled[device.address] = identity.Identity.of(device)

    @property
    def given_out(self) -> Collection[str]:
        """The addresses of the devices that were seen in a guest."""
        return self._given_out.keys() | self._others_given_out.keys()

    def note_given_out(
        self, devices: Mapping[str, device_obj.PciDevice], now: Collection[str]
    ) -> None:
        """Remember which devices that are no PCI functions guests had.

        :param devices: all of one listing, by address.
        :param now: the addresses of those that a guest has now.
        """
        given_out = {}
        for address, device in devices.items():
            mine = identity.Identity.of(device)
            before = self._others_given_out.get(address)
            recalled = self._recalled.get(address)
            if (
                address in now
                or (before is not None and not before.contradicts(mine))
                or (recalled is not None and recalled.proves(mine))
            ):
                given_out[address] = mine
        self._others_given_out = given_out

    def restore(
        self,
        devices: Iterable[device_obj.PciDevice],
        unusable: Collection[str] = (),
    ) -> list[device_obj.PciDevice]:
        """Restore the hidden properties of the devices in one listing.

        The properties of devices that are bound to a host driver are
        remembered. A device without a driver is neither remembered nor
        changed: on its way to a guest and back it has none for a moment.

        :param devices: all devices of the host.
        :param unusable: addresses of devices that exist, but that libvirt
            does not describe now: nothing of them is forgotten.
        :returns: the same devices; devices in guests have the properties
            from before.
        """
        restored = []
        known, given_out = (
            {a: held[a] for a in unusable if a in held}
            for held in (self._devices, self._given_out)
        )
        for device in devices:
            guests = self._given_out.get(device.address)
            before = self._devices.get(device.address)
            if before is not None and not _same_hardware(before, device):
                before = guests = None
            recalled = self._recalled.get(device.address)
            if recalled is not None and recalled.proves(
                identity.Identity.of(device)
            ):
                guests = device
            if device.driver is not None and not device.is_bound_to_host:
                guests = device
            if guests is not None and _same_hardware(guests, device):
                given_out[device.address] = guests
            if device.is_bound_to_host:
                before = device
            elif before is not None and device.driver is not None:
                device = _with_hidden(device, before)
            if before is not None:
                known[device.address] = before
            restored.append(device)
        self._devices = known
        self._given_out = given_out
        return restored


def _with_hidden(
    device: device_obj.PciDevice, before: device_obj.PciDevice
) -> device_obj.PciDevice:
    """Return a device in a guest with the properties from before."""
    return device.replace(
        **{
            name: before.get(name)
            for name in device_obj.HIDDEN_IN_GUESTS
            if name not in device_obj.READ_IN_GUESTS
            or device.get(name) is None
        }
    )


def _same_hardware(
    device: device_obj.PciDevice, other: device_obj.PciDevice
) -> bool:
    mine, its = map(identity.Identity.of, (device, other))
    return device.parent_addr == other.parent_addr and not (
        mine.contradicts(its)
    )
