# SPDX-License-Identifier: Apache-2.0

"""PCI cards and USB devices of simulated hosts. Pure data."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LinkStatus:
    """A PCI Express link: ``speed`` in GT/s as text, ``width`` in lanes."""

    speed: str
    width: int


@dataclasses.dataclass(frozen=True)
class MediatedType:
    """A type of mediated devices, ``name`` is the kernel's.

    ``instances`` are as many as a card can make, if it makes no others.
    """

    name: str
    label: str
    instances: int


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of a PCI device; ids are 16-bit numbers.

    ``class_code`` is the 24-bit PCI class; ``driver`` is the driver that the
    host's kernel binds by default.
    """

    vendor_id: int
    product_id: int
    vendor: str
    product: str
    class_code: int
    driver: str
    subsystem_id: int
    link: LinkStatus | None = None
    speed: int = 0
    features: tuple[str, ...] = ()
    mediated_types: tuple[MediatedType, ...] = ()


@dataclasses.dataclass(frozen=True)
class UsbModel:
    """A model of a USB device; ids are 16-bit numbers.

    ``interfaces`` are the class of each interface with the driver that the
    host's kernel binds to it, None for none.
    """

    vendor_id: int
    product_id: int
    vendor: str
    product: str
    interfaces: tuple[tuple[int, str | None], ...]
    device_class: int = 0


_OFFLOADS = ('rx', 'tx', 'sg', 'tso', 'gso', 'gro', 'rxvlan', 'txvlan')
_GEN4 = LinkStatus('16', 16)
_INTEL, _NVIDIA = 'Intel Corporation', 'NVIDIA Corporation'
_MELLANOX = 'Mellanox Technologies'

ROOT_PORT = Model(
    0x8086, 0x352A, _INTEL, 'Ice Lake PCI Express Root Port',
    0x060400, 'pcieport', 0x0000, _GEN4,
)  # fmt: skip
E810 = Model(
    0x8086, 0x1592, _INTEL, 'Ethernet Controller E810-C for QSFP',
    0x020000, 'ice', 0x0002, _GEN4, 100000,
    (*_OFFLOADS, 'ntuple', 'rxhash', 'rdma'),
)  # fmt: skip
E810_VF = Model(
    0x8086, 0x1889, _INTEL, 'Ethernet Adaptive Virtual Function',
    0x020000, 'iavf', 0x0000, None, 100000, _OFFLOADS,
)  # fmt: skip
CONNECTX6 = Model(
    0x15B3, 0x101D, _MELLANOX, 'MT2892 Family [ConnectX-6 Dx]',
    0x020000, 'mlx5_core', 0x0016, _GEN4, 100000,
    (*_OFFLOADS, 'rxhash', 'rdma', 'switchdev'),
)  # fmt: skip
CONNECTX6_VF = Model(
    0x15B3, 0x101E, _MELLANOX, 'ConnectX Family mlx5Gen Virtual Function',
    0x020000, 'mlx5_core', 0x0016, None, 100000, _OFFLOADS,
)  # fmt: skip
I350 = Model(
    0x8086, 0x1521, _INTEL, 'I350 Gigabit Network Connection',
    0x020000, 'igb', 0x0001, LinkStatus('5', 4), 1000, _OFFLOADS,
)  # fmt: skip
H100 = Model(
    0x10DE, 0x2330, _NVIDIA, 'GH100 [H100 SXM5 80GB]',
    0x030200, 'nvidia', 0x16C1, LinkStatus('32', 16),
)  # fmt: skip
A100 = Model(
    0x10DE, 0x20B5, _NVIDIA, 'GA100 [A100 PCIe 80GB]',
    0x030200, 'nvidia', 0x1533, _GEN4,
)  # fmt: skip
A16 = Model(
    0x10DE, 0x25B6, _NVIDIA, 'GA107GL [A2 / A16]',
    0x030200, 'nvidia', 0x14A9, _GEN4,
    mediated_types=(
        MediatedType('nvidia-558', 'NVIDIA A16-4Q', 4),
        MediatedType('nvidia-559', 'NVIDIA A16-8Q', 2),
    ),
)  # fmt: skip
RTX4090 = Model(
    0x10DE, 0x2684, _NVIDIA, 'AD102 [GeForce RTX 4090]',
    0x030000, 'nouveau', 0x167C, _GEN4,
)  # fmt: skip
RTX4090_AUDIO = Model(
    0x10DE, 0x22BA, _NVIDIA, 'AD102 High Definition Audio Controller',
    0x040300, 'snd_hda_intel', 0x167C, _GEN4,
)  # fmt: skip
PM173X = Model(
    0x144D, 0xA824, 'Samsung Electronics Co Ltd',
    'NVMe SSD Controller PM173X', 0x010802, 'nvme', 0xA801,
    LinkStatus('16', 4),
)  # fmt: skip
QAT = Model(
    0x8086, 0x4940, _INTEL, '4xxx Series QAT',
    0x0B4000, '4xxx', 0x0000, _GEN4,
)  # fmt: skip
QAT_VF = Model(
    0x8086, 0x4941, _INTEL, '4xxx Series QAT Virtual Function',
    0x0B4000, '4xxxvf', 0x0000,
)  # fmt: skip
XHCI = Model(
    0x8086, 0xA36D, _INTEL, 'Cannon Lake PCH USB 3.1 xHCI Host Controller',
    0x0C0330, 'xhci_hcd', 0x7270,
)  # fmt: skip

HUB = UsbModel(
    0x0424, 0x2514, 'Microchip Technology, Inc.', 'USB 2.0 Hub',
    ((0x09, 'hub'),), 0x09,
)  # fmt: skip
TOKEN = UsbModel(
    0x1050, 0x0407, 'Yubico.com', 'YubiKey OTP+FIDO+CCID',
    ((0x03, 'usbhid'), (0x03, 'usbhid'), (0x0B, None)),
)  # fmt: skip
STICK = UsbModel(
    0x0781, 0x5581, 'SanDisk Corp.', 'Ultra', ((0x08, 'usb-storage'),),
)  # fmt: skip

#: Models of SR-IOV cards, which hosts get in turn: (physical function,
#: virtual function).
NIC_MODELS = ((E810, E810_VF), (CONNECTX6, CONNECTX6_VF))
GPU_MODELS = (H100, A100)
