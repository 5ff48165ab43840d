# SPDX-License-Identifier: Apache-2.0

"""Model of a simulated compute host's PCI devices. Pure data.

The XML for libvirt's test driver (:mod:`pci_passthrough.demo.testdriver`) and
the simulated kernel of the functional tests are both made from this model.
Equal :class:`HostShape` objects give equal hosts, so a process that needs the
host only needs its shape.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re

from pci_passthrough.demo import cards
from pci_passthrough.demo.hardware import BlockDevice as BlockDevice
from pci_passthrough.demo.hardware import Device as Device
from pci_passthrough.demo.hardware import NetInterface as NetInterface
from pci_passthrough.demo.hardware import UsbDevice as UsbDevice

#: Routing identifier of the first virtual function, counted from its
#: physical function (``sriov_offset`` in sysfs); the value of an E810.
VF_OFFSET = 8


@dataclasses.dataclass(frozen=True)
class HostShape:
    """Numbers of the cards and disks that a host has.

    ``nics`` physical functions show ``vfs`` virtual functions each (of
    ``total_vfs`` possible); ``crypto_cards`` likewise with ``crypto_vfs``.
    ``management_nic`` adds a network card without SR-IOV that has the host's
    address and default route, ``system_disk`` mounts the first NVMe disk
    at ``/``, ``lvm_disk`` makes the last NVMe disk an LVM member.
    ``vgpu_cards`` can make mediated devices. ``usb_tokens`` are behind a hub,
    ``usb_stick`` is storage that the host has mounted.
    """

    name: str
    nics: int = 2
    vfs: int = 4
    total_vfs: int = 64
    gpus: int = 2
    nvmes: int = 2
    consumer_gpus: int = 1
    crypto_cards: int = 0
    crypto_vfs: int = 4
    numa_nodes: int = 2
    management_nic: bool = False
    system_disk: bool = False
    lvm_disk: bool = False
    vgpu_cards: int = 0
    usb_tokens: int = 0
    usb_stick: bool = False


def split_address(address: str) -> tuple[int, int, int, int]:
    """Split ``0000:65:00.1`` into numbers: domain, bus, slot, function."""
    domain, bus, slot, function = re.split('[:.]', address)
    return int(domain, 16), int(bus, 16), int(slot, 16), int(function, 16)


def join_address(domain: int, bus: int, devfn: int) -> str:
    """Return the address of routing identifier ``devfn`` of a bus.

    ``devfn`` may exceed 255: then the function is on a following bus.
    """
    bus, devfn = bus + devfn // 256, devfn % 256
    return f'{domain:04x}:{bus:02x}:{devfn // 8:02x}.{devfn % 8}'


@dataclasses.dataclass
class Host:
    """A compute host: its devices by address, and the next free numbers."""

    shape: HostShape
    devices: dict[str, Device] = dataclasses.field(default_factory=dict)
    #: by their names; hubs are among them, root hubs are not
    usb_devices: dict[str, UsbDevice] = dataclasses.field(default_factory=dict)
    #: IOMMU groups of mediated devices by their UUID
    mediated_groups: dict[str, int] = dataclasses.field(default_factory=dict)
    groups_given: int = 0
    macs_given: int = 0
    interfaces_given: int = 1

    @property
    def name(self) -> str:
        """The host's name."""
        return self.shape.name

    @property
    def fingerprint(self) -> bytes:
        """Bytes that are different for each host name."""
        return hashlib.sha256(self.name.encode()).digest()

    def next_group(self) -> int:
        """Return the number of a new IOMMU group."""
        self.groups_given += 1
        return self.groups_given

    def next_mac(self) -> str:
        """Return a new MAC address, unique among all host names."""
        self.macs_given += 1
        octets = (
            2,
            *self.fingerprint[:3],
            *self.macs_given.to_bytes(2, 'big'),
        )
        return ':'.join(f'{octet:02x}' for octet in octets)

    def next_index(self) -> int:
        """Return the index of a new network interface."""
        self.interfaces_given += 1
        return self.interfaces_given

    def next_interface(
        self, name: str, model: cards.Model, *, up: bool
    ) -> NetInterface:
        """Return a new network interface, with MAC address and index."""
        return NetInterface(
            name,
            self.next_mac(),
            self.next_index(),
            up,
            model.speed,
            model.features,
        )

    def add(self, device: Device) -> Device:
        """Add a device to the host, and return it."""
        self.devices[device.address] = device
        return device

    def add_vf(self, pf: Device, index: int) -> Device:
        """Add a virtual function with the address that the kernel assigns."""
        if pf.vf_model is None:
            raise ValueError(f'{pf.address} has no virtual functions')
        domain, bus, slot, function = split_address(pf.address)
        devfn = slot * 8 + function + VF_OFFSET + index
        vf = Device(
            join_address(domain, bus, devfn),
            pf.vf_model,
            pf.numa_node,
            self.next_group(),
            pf.parent,
            pf.vf_model.driver,
            physical_function=pf.address,
            vf_index=index,
        )
        if pf.interface is not None:
            vf.interface = self.next_interface(
                f'{pf.interface.name}v{index}', pf.vf_model, up=False
            )
        pf.vfs.append(vf.address)
        return self.add(vf)

    def path(self, address: str) -> str:
        """Return a device's folder, relative to ``/sys``."""
        parent = self.devices[address].parent
        if parent is None:
            return f'devices/pci{address[:4]}:00/{address}'
        return f'{self.path(parent)}/{address}'

    def usb_path(self, name: str) -> str:
        """Return a USB device's folder, relative to ``/sys``."""
        device = self.usb_devices[name]
        if device.parent in self.usb_devices:
            return f'{self.usb_path(device.parent)}/{name}'
        return f'{self.path(device.controller)}/{device.parent}/{name}'

    def group_of(self, identifier: str) -> int:
        """Return the IOMMU group of a mediated device, given at first."""
        if identifier not in self.mediated_groups:
            self.mediated_groups[identifier] = self.next_group()
        return self.mediated_groups[identifier]

    def groups(self) -> dict[int, list[str]]:
        """Return the addresses of each IOMMU group, sorted."""
        groups: dict[int, list[str]] = {}
        for address in sorted(self.devices):
            group = self.devices[address].iommu_group
            groups.setdefault(group, []).append(address)
        return groups


class _Builder:
    """Builds a host; each card gets a slot behind its own root port."""

    def __init__(self, shape: HostShape) -> None:
        self.host = Host(shape)
        self._domain = 0
        self._bus = 1
        self._ports = 0

    def card(self, model: cards.Model, position: int, vfs: int = 0) -> Device:
        """Add a card; ``position`` distributes cards over NUMA nodes."""
        buses = 1 + (vfs + VF_OFFSET) // 256
        # Bus 0xff is the last bus of a domain.
        if self._bus + buses > 0xFF or self._ports >= 240:
            self._domain, self._bus, self._ports = self._domain + 1, 1, 0
        first, last = self._bus, self._bus + buses - 1
        numa_node = position % self.host.shape.numa_nodes
        port = self.host.add(
            Device(
                join_address(self._domain, 0, 8 + self._ports),
                cards.ROOT_PORT,
                numa_node,
                self.host.next_group(),
                None,
                cards.ROOT_PORT.driver,
                cards.ROOT_PORT.link,
                (first, last),
            )
        )
        self._bus, self._ports = last + 1, self._ports + 1
        return self.host.add(
            Device(
                join_address(self._domain, first, 0),
                model,
                numa_node,
                self.host.next_group(),
                port.address,
                model.driver,
                model.link,
            )
        )

    def sriov_card(
        self,
        model: cards.Model,
        vf_model: cards.Model,
        position: int,
        vfs: int,
    ) -> Device:
        """Add a card that can have virtual functions."""
        total = max(self.host.shape.total_vfs, vfs)
        card = self.card(model, position, total)
        card.vf_model, card.total_vfs = vf_model, total
        return card

    def add_nics(self) -> None:
        """Add SR-IOV network cards, and the management network card."""
        shape, host = self.host.shape, self.host
        if shape.management_nic:
            card = self.card(cards.I350, 0)
            card.interface = dataclasses.replace(
                host.next_interface('eno1', cards.I350, up=True),
                cidr=f'192.0.2.{host.fingerprint[3] % 200 + 10}/24',
                gateway='192.0.2.1',
            )
        for position in range(shape.nics):
            model, vf_model = cards.NIC_MODELS[
                position % len(cards.NIC_MODELS)
            ]
            card = self.sriov_card(model, vf_model, position, shape.vfs)
            name = f'ens{position + 1}f0'
            card.interface = host.next_interface(name, model, up=True)
            for index in range(shape.vfs):
                host.add_vf(card, index)

    def add_accelerators(self) -> None:
        """Add GPUs and crypto cards."""
        shape = self.host.shape
        for position in range(shape.gpus):
            self.card(
                cards.GPU_MODELS[position % len(cards.GPU_MODELS)], position
            )
        for position in range(shape.vgpu_cards):
            self.card(cards.A16, position)
        for position in range(shape.consumer_gpus):
            display = self.card(cards.RTX4090, 0)
            display.boot_vga = position == 0
            # The sound function is in the same IOMMU group: no instance can
            # get one of the two while the host uses the other one.
            self.host.add(
                dataclasses.replace(
                    display,
                    address=display.address[:-1] + '1',
                    model=cards.RTX4090_AUDIO,
                    driver=cards.RTX4090_AUDIO.driver,
                    boot_vga=False,
                    vfs=[],
                )
            )
        for position in range(shape.crypto_cards):
            card = self.sriov_card(
                cards.QAT, cards.QAT_VF, position, shape.crypto_vfs
            )
            for index in range(shape.crypto_vfs):
                self.host.add_vf(card, index)

    def add_disks(self) -> None:
        """Add NVMe disks, among them the system disk and the LVM disk."""
        shape = self.host.shape
        for position in range(shape.nvmes):
            disk = BlockDevice(
                f'nvme{position}n1', 259, position * 16, 3_750_748_848
            )
            if shape.lvm_disk and position == shape.nvmes - 1:
                disk = dataclasses.replace(
                    disk, file_system='LVM2_member', holders=('dm-0',)
                )
            if shape.system_disk and position == 0:
                disk = dataclasses.replace(
                    disk, holders=(), partitions=_system_partitions(disk)
                )
            self.card(cards.PM173X, position).disk = disk

    def add_usb(self) -> None:
        """Add a USB controller with a hub, tokens and a stick."""
        shape, host = self.host.shape, self.host
        if not (shape.usb_tokens or shape.usb_stick):
            return
        controller = self.card(cards.XHCI, 0).address

        def plug(
            name: str, model: cards.UsbModel, serial: str = ''
        ) -> UsbDevice:
            number = len(host.usb_devices) + 2
            device = UsbDevice(name, model, controller, number, serial)
            host.usb_devices[name] = device
            return device

        plug('1-1', cards.HUB)
        for position in range(shape.usb_tokens):
            plug(
                f'1-1.{position + 1}',
                cards.TOKEN,
                f'{host.name}-{position + 1:04d}',
            )
        if shape.usb_stick:
            plug('1-2', cards.STICK, 'AA010203').disk = BlockDevice(
                'sda', 8, 0, 60_062_500, 'vfat', '/mnt/backup'
            )


def _system_partitions(disk: BlockDevice) -> tuple[BlockDevice, ...]:
    uses = (
        ('vfat', '/boot/efi', 1_048_576),
        ('swap', 'swap', 16_777_216),
        ('ext4', '/', 3_732_920_320),
    )
    return tuple(
        BlockDevice(
            f'{disk.name}p{number}',
            disk.major,
            disk.minor + number,
            sectors,
            file_system,
            mount_point,
        )
        for number, (file_system, mount_point, sectors) in enumerate(uses, 1)
    )


def build_host(shape: HostShape) -> Host:
    """Build the host of a shape; equal shapes give equal hosts."""
    builder = _Builder(shape)
    builder.add_nics()
    builder.add_accelerators()
    builder.add_disks()
    builder.add_usb()
    return builder.host


def slices_host() -> Host:
    """Return the host with mediated and USB devices of the demonstration."""
    return build_host(
        HostShape(
            'compute-4', nics=0, gpus=0, consumer_gpus=0, nvmes=1,
            vgpu_cards=1, usb_tokens=2, usb_stick=True,
            management_nic=True, system_disk=True,
        )
    )  # fmt: skip


def demo_hosts() -> list[Host]:
    """Return three different compute hosts, for the demonstration."""
    common = {'management_nic': True, 'system_disk': True}
    return [
        build_host(shape)
        for shape in (
            HostShape(
                'compute-1', vfs=8, gpus=0, consumer_gpus=0,
                crypto_cards=1, **common,
            ),
            HostShape(
                'compute-2', nics=1, vfs=4, gpus=4, nvmes=3,
                consumer_gpus=0, lvm_disk=True, **common,
            ),
            HostShape(
                'compute-3', nics=2, vfs=2, gpus=1, consumer_gpus=2, **common,
            ),
        )
    ]  # fmt: skip
