# SPDX-License-Identifier: Apache-2.0
"""Turns libvirt's node-device XML into ``PciDevice`` objects. Pure.

The format is libvirt's: https://libvirt.org/formatnode.html. What makes a
device a PF, a VF or vdpa is decided as in ``nova.virt.libvirt.host``
(``_get_pcidev_info``), because the attachment is Nova's in the end.

The standard library's parser is enough: the XML comes from the local
libvirtd, one small document for each device, and lxml would be one more
dependency for a tenth of a second saved on the largest hosts.
"""

from collections.abc import Iterable
import dataclasses
from xml.etree import ElementTree

from oslo_log import log

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields

LOG = log.getLogger(__name__)

#: PCI base class of all bridges (PCI-SIG "PCI Code and ID Assignment").
BRIDGE_CLASS = '06'

#: "Other bridge device": also what NVIDIA's NVSwitches are, which guests
#: with several GPUs of one board need. They have no bridge's header.
_OTHER_BRIDGE = '0680'

#: ``-1`` (unknown) as libvirt prints it, having read it as unsigned.
_UNKNOWN_SPEED = 0xFFFFFFFF

_ADDRESS_PARTS = ('domain', 'bus', 'slot', 'function')


class _UnusableDevice(Exception):
    """A device's XML lacks something that no device can be without."""


@dataclasses.dataclass(frozen=True, slots=True)
class _NetInterface:
    """A network interface which is the child of a PCI function."""

    devname: str
    mac_address: str | None
    link_speed: int | None
    features: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Listing:
    """One listing, taken apart by capability and joined by parent name."""

    #: (node device name, device element, pci capability element)
    pci: list[tuple[str, ElementTree.Element, ElementTree.Element]]
    #: by the parent's node device name
    interfaces: dict[str, list[_NetInterface]]
    #: node device names of functions that have a vdpa child
    vdpa_parents: set[str]


def parse_listing(documents: Iterable[str]) -> list[device_obj.PciDevice]:
    """Return the PCI functions of one listing of a host's node devices.

    :param documents: the XML of every node device with a ``pci``, ``net`` or
        ``vdpa`` capability, in any order, all of one listing: children are
        joined to their PCI function by the function's name.
    :returns: devices sorted by address, with ``REPORTED_FIELDS`` set.
        Subsystem ids and ``offered_by`` are None and ``extra_info`` is empty:
        libvirt knows none of it. Bridges are left out: the kernel's vfio-pci
        refuses PCI bridges, and a host bridge or ISA bridge is the host
        itself.
    """
    listing = _take_apart(documents)
    devices = []
    for name, element, capability in listing.pci:
        try:
            device = _device(name, element, capability, listing)
        except (_UnusableDevice, ValueError) as reason:
            LOG.warning('Node device %s is left out: %s', name, reason)
            continue
        if device is not None:
            devices.append(device)
    devices.sort(key=lambda device: str(device.address))
    return devices


def _take_apart(documents: Iterable[str]) -> _Listing:
    """Sort the documents by capability; warn of those that are no XML."""
    listing = _Listing([], {}, set())
    for document in documents:
        try:
            # Not untrusted: the local libvirtd, which is root, wrote it.
            element = ElementTree.fromstring(document)  # noqa: S314
        except ElementTree.ParseError as error:
            LOG.warning(
                'A node device is left out, its XML is broken (%s): %.200s',
                error,
                document,
            )
            continue
        name = element.findtext('name') or 'without a name'
        parent = element.findtext('parent') or ''
        for capability in element.iterfind('capability'):
            kind = capability.get('type')
            if kind == 'pci':
                listing.pci.append((name, element, capability))
            elif kind == 'vdpa':
                listing.vdpa_parents.add(parent)
            elif kind == 'net':
                interface = _net_interface(capability)
                if interface is not None:
                    listing.interfaces.setdefault(parent, []).append(interface)
    return listing


def _device(
    name: str,
    element: ElementTree.Element,
    capability: ElementTree.Element,
    listing: _Listing,
) -> device_obj.PciDevice | None:
    """Return one function, or None for a bridge.

    :raises _UnusableDevice: the XML lacks something mandatory.
    :raises ValueError: something in it has a form that it cannot have.
    """
    pci_class = _hex(_text(capability, 'class'), 6)
    functions = {
        child.get('type'): child for child in capability.iterfind('capability')
    }
    if pci_class.startswith(BRIDGE_CLASS) and (
        not pci_class.startswith(_OTHER_BRIDGE) or 'pci-bridge' in functions
    ):
        return None
    parent_addr = _physical_function(functions.get('phys_function'))
    total_vfs, is_pf = _virtual_functions(functions.get('virt_functions'))
    if parent_addr is not None:
        # As in Nova, vdpa makes a kind of VF; a vdpa child of a function
        # that is no VF changes nothing.
        is_vdpa = name in listing.vdpa_parents
        dev_type = fields.DevType.VDPA if is_vdpa else fields.DevType.SRIOV_VF
    elif is_pf:
        dev_type = fields.DevType.SRIOV_PF
    else:
        dev_type = fields.DevType.STANDARD
    net = _main_interface(listing.interfaces.get(name, ()))
    return device_obj.PciDevice(
        address=_own_address(capability),
        parent_addr=parent_addr,
        dev_type=dev_type,
        vendor_id=_id(capability, 'vendor'),
        product_id=_id(capability, 'product'),
        subsystem_vendor_id=None,
        subsystem_id=None,
        pci_class=pci_class,
        driver=element.findtext('driver/name') or None,
        numa_node=_number(capability.find('numa'), 'node'),
        iommu_group=_number(capability.find('iommuGroup'), 'number'),
        devname=net.devname if net else None,
        mac_address=net.mac_address if net else None,
        link_speed=net.link_speed if net else None,
        total_vfs=total_vfs,
        capabilities=list(net.features) if net else [],
        extra_info={},
        offered_by=None,
    )


def _net_interface(capability: ElementTree.Element) -> _NetInterface | None:
    """Return what a ``net`` capability says, None if it has no name."""
    devname = capability.findtext('interface')
    if not devname:
        return None
    mac_address = capability.findtext('address')
    return _NetInterface(
        devname=devname,
        mac_address=mac_address.lower() if mac_address else None,
        link_speed=_link_speed(capability.find('link')),
        features=tuple(
            sorted(
                feature
                for element in capability.iterfind('feature')
                if (feature := element.get('name'))
            )
        ),
    )


def _main_interface(
    interfaces: Iterable[_NetInterface],
) -> _NetInterface | None:
    """Choose the interface that stands for the function itself.

    In switchdev mode a PF is also the parent of its representors and
    subfunctions. Those are made later and their names are longer
    (``ens1f0np0`` before ``ens1f0npf0vf3``, ``eth2`` before ``eth10``).
    """
    return min(
        interfaces,
        key=lambda interface: (len(interface.devname), interface.devname),
        default=None,
    )


def _link_speed(link: ElementTree.Element | None) -> int | None:
    """Return Mbit/s while the link is up and its speed is known."""
    if link is None or link.get('state') != 'up':
        return None
    speed = link.get('speed', '')
    if not speed.isdecimal() or not 0 < int(speed) < _UNKNOWN_SPEED:
        return None
    return int(speed)


def _physical_function(capability: ElementTree.Element | None) -> str | None:
    """Return the address of a VF's PF, None if the function is no VF."""
    if capability is None:
        return None
    address = capability.find('address')
    return None if address is None else _address(address.attrib)


def _virtual_functions(
    capability: ElementTree.Element | None,
) -> tuple[int | None, bool]:
    """Return how many VFs there can be, and whether it is a PF at all.

    ``maxCount`` is sysfs' ``sriov_totalvfs``. libvirt keeps the capability
    with a count of 0 when the firmware has switched SR-IOV off.
    """
    if capability is None:
        return None, False
    total = _number(capability, 'maxCount')
    return total, bool(total) or capability.find('address') is not None


def _own_address(capability: ElementTree.Element) -> str:
    return _address({part: _text(capability, part) for part in _ADDRESS_PARTS})


def _address(parts: dict[str, str]) -> str:
    """Return ``dddd:bb:ss.f``.

    Elements are decimal and attributes are ``0x`` hexadecimal; base 0 reads
    both.
    """
    try:
        domain, bus, slot, function = (
            int(parts[part], 0) for part in _ADDRESS_PARTS
        )
    except KeyError as missing:
        raise _UnusableDevice(f'its address lacks {missing}') from missing
    return f'{domain:04x}:{bus:02x}:{slot:02x}.{function:x}'


def _id(capability: ElementTree.Element, name: str) -> str:
    """Return the four digits of ``<vendor id=…>`` or ``<product id=…>``."""
    element = capability.find(name)
    value = element.get('id') if element is not None else None
    if value is None:
        raise _UnusableDevice(f'it has no {name} id')
    return _hex(value, 4)


def _hex(value: str, digits: int) -> str:
    return f'{int(value, 16):0{digits}x}'


def _text(element: ElementTree.Element, name: str) -> str:
    text = element.findtext(name)
    if not text:
        raise _UnusableDevice(f'it has no {name}')
    return text


def _number(element: ElementTree.Element | None, name: str) -> int | None:
    """Return an attribute as a number; None if absent or negative."""
    value = element.get(name) if element is not None else None
    if value is None:
        return None
    number = int(value, 0)
    return number if number >= 0 else None
