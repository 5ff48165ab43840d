# SPDX-License-Identifier: Apache-2.0

"""Single devices of a simulated host. Pure data."""

from __future__ import annotations

import dataclasses

from pci_passthrough.demo import cards


@dataclasses.dataclass(frozen=True)
class NetInterface:
    """A network interface; ``speed`` in Mbit/s, ``cidr`` an IPv4 address."""

    name: str
    mac: str
    index: int
    up: bool
    speed: int
    features: tuple[str, ...] = ()
    cidr: str | None = None
    gateway: str | None = None


@dataclasses.dataclass(frozen=True)
class BlockDevice:
    """A disk or a partition of a host.

    ``sectors`` are 512 bytes; ``mount_point`` is ``swap`` for swap space;
    ``holders`` are block devices on top of this one (``dm-0``, ``md0``).
    """

    name: str
    major: int
    minor: int
    sectors: int
    file_system: str = ''
    mount_point: str = ''
    holders: tuple[str, ...] = ()
    partitions: tuple[BlockDevice, ...] = ()


@dataclasses.dataclass
class Device:
    """One PCI function of a host; ``parent`` is its bridge's address."""

    address: str
    model: cards.Model
    numa_node: int
    iommu_group: int
    parent: str | None
    driver: str | None
    link: cards.LinkStatus | None = None
    bridge_buses: tuple[int, int] | None = None
    physical_function: str | None = None
    vf_index: int = 0
    vf_model: cards.Model | None = None
    total_vfs: int = 0
    vfs: list[str] = dataclasses.field(default_factory=list)
    interface: NetInterface | None = None
    disk: BlockDevice | None = None
    boot_vga: bool = False
    #: the type of each mediated device by its UUID
    mediated: dict[str, str] = dataclasses.field(default_factory=dict)

    def free_instances(self, kind: cards.MediatedType) -> int:
        """Return how many more mediated devices of a type can be made.

        As with NVIDIA's driver, those of a card are of one type.
        """
        made = list(self.mediated.values())
        if set(made) - {kind.name}:
            return 0
        return kind.instances - len(made)


@dataclasses.dataclass
class UsbDevice:
    """A USB device; ``name`` is the kernel's, ``1-2.3``."""

    name: str
    model: cards.UsbModel
    controller: str
    number: int
    serial: str = ''
    disk: BlockDevice | None = None

    @property
    def bus(self) -> int:
        """The number of the bus."""
        return int(self.name.partition('-')[0])

    @property
    def parent(self) -> str:
        """The name of the hub that it is behind, ``usb1`` for a root hub."""
        hub, dot, _ = self.name.rpartition('.')
        return hub if dot else f'usb{self.bus}'
