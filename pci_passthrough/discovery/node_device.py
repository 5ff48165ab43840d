# SPDX-License-Identifier: Apache-2.0
"""Parses libvirt's node-device XML into ``PciDevice`` objects. Pure.

https://libvirt.org/formatnode.html describes the XML. The type of a device
(PF, VF, vdpa) is determined as in ``nova.virt.libvirt.host``
(``_get_pcidev_info``), because Nova attaches the device.

The standard library's XML parser suffices: the documents are small, and lxml
would save a tenth of a second on the largest hosts.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import re
from xml.etree import ElementTree

from oslo_log import log

from pci_passthrough.discovery import net_interface
from pci_passthrough.discovery import vital_product_data
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields

LOG = log.getLogger(__name__)

#: PCI base class of all bridges (PCI-SIG "PCI Code and ID Assignment").
BRIDGE_CLASS = '06'

#: Class "Other bridge device". NVIDIA's NVSwitches have this class without
#: being bridges; guests with several GPUs of one board need them.
_OTHER_BRIDGE = '0680'

_ADDRESS_PARTS = ('domain', 'bus', 'slot', 'function')

#: The name that libvirt gives to the node device of a PCI function.
_NAME = re.compile(
    r'pci_([0-9a-f]{4,8})_([0-9a-f]{2})_([01][0-9a-f])_([0-7])', re.ASCII
)

#: The name of a node device in XML that cannot be parsed.
_NAME_ELEMENT = re.compile(r'<name>([^<]*)</name>')


class _UnusableDevice(Exception):
    """A device's XML lacks a mandatory element or attribute."""


@dataclasses.dataclass(frozen=True, slots=True)
class Undescribed:
    """A node device that libvirt lists, but fails to describe.

    :ivar name: the node device's name.
    :ivar reason: libvirt's error.
    """

    name: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """The PCI functions of one listing of a host's node devices."""

    #: sorted by address; no bridges
    devices: list[device_obj.PciDevice]
    #: addresses of the devices that are the parent of a mediated device
    mediated: frozenset[str]
    #: why functions cannot be described, by address; they exist nevertheless
    unusable: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class _Documents:
    """One listing of node devices, sorted by capability."""

    #: (node device name, device element, pci capability element)
    pci: list[tuple[str, ElementTree.Element, ElementTree.Element]]
    #: network interfaces by the parent's node device name
    interfaces: dict[str, list[net_interface.NetInterface]]
    #: node device names of functions with a vdpa child
    vdpa_parents: set[str]
    #: node device names of functions with an active mediated device
    mdev_parents: set[str]
    #: why XML cannot be used, by the node device's name
    unusable: dict[str, str]


def parse_listing(
    documents: Iterable[str | Undescribed],
    main_interfaces: Mapping[str, str | None] | None = None,
) -> Listing:
    """Return the PCI functions of one listing of a host's node devices.

    :param documents: the XML of every node device with a ``pci``, ``net``,
        ``vdpa`` or ``mdev`` capability, in any order, all of one listing:
        children refer to their PCI function by its node device name.
    :param main_interfaces: the result of ``uplink.main_interfaces``; None if
        sysfs is not known.
    :returns: the devices have ``REPORTED_FIELDS`` set. Subsystem ids,
        ``serial_number``, ``vgpu_type``, ``offered_by`` and ``refusal`` are
        None and ``extra_info`` is empty, because libvirt does not have them.
        Bridges are skipped: the kernel's vfio-pci refuses PCI bridges, and the
        host cannot run without its host bridge or ISA bridge.
    """
    listing = _sort_by_capability(documents)
    devices = []
    mediated = set()
    for name, element, capability in listing.pci:
        try:
            device = _device(
                name, element, capability, listing, main_interfaces or {}
            )
        except (_UnusableDevice, ValueError) as reason:
            listing.unusable[name] = str(reason)
            continue
        if device is None:
            continue
        devices.append(device)
        if name in listing.mdev_parents:
            mediated.add(str(device.address))
    devices.sort(key=lambda device: str(device.address))
    return Listing(devices, frozenset(mediated), _by_address(listing.unusable))


def _by_address(unusable: Mapping[str, str]) -> dict[str, str]:
    """Return the reasons by address; warn about nodes that are no functions.

    :param unusable: why XML cannot be used, by the node device's name.
    """
    reasons = {}
    for name, reason in unusable.items():
        parts = _NAME.fullmatch(name)
        if parts is None:
            LOG.warning('Ignoring node device %s: %s', name, reason)
        else:
            domain, bus, slot, function = parts.groups()
            address = f'{domain}:{bus}:{slot}.{function}'
            reasons[address] = f"libvirt's description is unusable: {reason}"
    return reasons


def _sort_by_capability(
    documents: Iterable[str | Undescribed],
) -> _Documents:
    """Sort the documents by capability."""
    listing = _Documents([], {}, set(), set(), {})
    for document in documents:
        if isinstance(document, Undescribed):
            listing.unusable[document.name] = document.reason
            continue
        try:
            # Trusted: the local libvirtd, which runs as root, wrote it.
            element = ElementTree.fromstring(document)  # noqa: S314
        except ElementTree.ParseError as error:
            match = _NAME_ELEMENT.search(document)
            listing.unusable[match[1] if match else document[:200]] = (
                f'malformed XML: {error}'
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
            elif kind == 'mdev' and element.find('path') is not None:
                # libvirt also lists mediated devices that are only defined.
                # They are not in sysfs, and have no path.
                listing.mdev_parents.add(parent)
            elif kind == 'net':
                interface = net_interface.parse(capability)
                if interface is not None:
                    listing.interfaces.setdefault(parent, []).append(interface)
    return listing


def _device(
    name: str,
    element: ElementTree.Element,
    capability: ElementTree.Element,
    listing: _Documents,
    main_interfaces: Mapping[str, str | None],
) -> device_obj.PciDevice | None:
    """Return one function, or None for a bridge.

    :raises _UnusableDevice: the XML lacks a mandatory element or attribute.
    :raises ValueError: a value in the XML is malformed.
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
    total_vfs, is_pf = _virtual_functions(
        name, functions.get('virt_functions')
    )
    address = _device_address(capability)
    net = _interface(
        address, listing.interfaces.get(name, []), main_interfaces
    )
    return device_obj.described(
        address=address,
        parent_addr=parent_addr,
        dev_type=_dev_type(
            is_vf=parent_addr is not None,
            is_pf=is_pf,
            has_vdpa=name in listing.vdpa_parents,
        ),
        vendor_id=_id(capability, 'vendor'),
        product_id=_id(capability, 'product'),
        pci_class=pci_class,
        driver=element.findtext('driver/name') or None,
        numa_node=_number(name, capability.find('numa'), 'node'),
        iommu_group=_number(name, capability.find('iommuGroup'), 'number'),
        devname=net.devname if net else None,
        mac_address=net.mac_address if net else None,
        link_speed=net.link_speed if net else None,
        total_vfs=total_vfs,
        capabilities=list(net.features) if net else [],
        serial_number=_serial_number(functions.get('vpd')),
    )


def _interface(
    address: str,
    interfaces: Sequence[net_interface.NetInterface],
    main_interfaces: Mapping[str, str | None],
) -> net_interface.NetInterface | None:
    """Return the interface that stands for a function, the uplink of a PF."""
    if address in main_interfaces:
        return net_interface.named(interfaces, main_interfaces[address])
    return net_interface.main(interfaces)


def _dev_type(*, is_vf: bool, is_pf: bool, has_vdpa: bool) -> str:
    """Return a function's type, one of ``fields.DevType``.

    As in Nova, only a virtual function can be vdpa; a vdpa child of another
    function is ignored.
    """
    if is_vf:
        return fields.DevType.VDPA if has_vdpa else fields.DevType.SRIOV_VF
    return fields.DevType.SRIOV_PF if is_pf else fields.DevType.STANDARD


def _serial_number(capability: ElementTree.Element | None) -> str | None:
    """Return the serial number of vital product data, None if unknown."""
    if capability is None:
        return None
    text = capability.findtext('fields/serial_number')
    return vital_product_data.usable(text or '')


def _physical_function(capability: ElementTree.Element | None) -> str | None:
    """Return the address of a VF's PF, None if the function is not a VF."""
    if capability is None:
        return None
    address = capability.find('address')
    return None if address is None else address_of(address.attrib)


def _virtual_functions(
    device: str,
    capability: ElementTree.Element | None,
) -> tuple[int | None, bool]:
    """Return (maximum number of VFs, whether the function is a PF).

    ``maxCount`` is sysfs' ``sriov_totalvfs``. If the firmware has disabled
    SR-IOV, libvirt reports the capability with a count of 0.
    """
    if capability is None:
        return None, False
    total = _number(device, capability, 'maxCount')
    return total, bool(total) or capability.find('address') is not None


def _device_address(capability: ElementTree.Element) -> str:
    return address_of(
        {part: _text(capability, part) for part in _ADDRESS_PARTS}
    )


def address_of(parts: Mapping[str, str]) -> str:
    """Return the address in the form ``dddd:bb:ss.f``.

    Elements are decimal and attributes are hexadecimal with ``0x``; base 0
    parses both.
    """
    try:
        domain, bus, slot, function = (
            int(parts[part], 0) for part in _ADDRESS_PARTS
        )
    except KeyError as missing:
        raise _UnusableDevice(f'its address lacks {missing}') from missing
    address = f'{domain:04x}:{bus:02x}:{slot:02x}.{function:x}'
    if not fields.is_pci_address(address):
        raise ValueError(f'{address} is not the address of a function')
    return address


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


def _number(
    device: str, element: ElementTree.Element | None, name: str
) -> int | None:
    """Return an attribute that only describes a device.

    :param device: the node device's name, for the log.
    :returns: None if it is missing, negative or malformed.
    """
    value = element.get(name) if element is not None else None
    if value is None:
        return None
    try:
        number = int(value, 0)
    except ValueError as error:
        LOG.warning(
            'Ignoring the malformed attribute %s of node device %s: %s',
            name,
            device,
            error,
        )
        return None
    return number if number >= 0 else None
