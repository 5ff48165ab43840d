# SPDX-License-Identifier: Apache-2.0
"""A cloud whose hosts also offer devices that are no PCI functions."""

from collections.abc import Mapping
import copy
import dataclasses
from typing import Any

from lxml import etree
from nova.tests.fixtures import libvirt as fakelibvirt

from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.nova_plugin.compute import guest_start
from pci_passthrough.tests.nova import base

#: The default PCI flavors of these tests.
SLICE = {'resource_type': 'mdev', 'e.type': 'nvidia-558'}
TOKEN = {'resource_type': 'usb', 'vendor_id': '1050'}

_MDEV = (
    "<hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>"
    "<source><address uuid='{address}'/></source></hostdev>"
)
_USB = (
    "<hostdev mode='subsystem' type='usb' managed='yes'><source>"
    "<vendor id='0x1050'/><product id='0x0407'/>"
    "<address bus='{bus}' device='{port}'/></source></hostdev>"
)


@dataclasses.dataclass
class Kind(resource_types.ResourceType):
    """A resource type whose devices the tests report themselves.

    :ivar name: of the type.
    :ivar xml: of a device, with names in place of the parts of its address;
        None for nothing.
    :ivar gone: addresses of devices that are not there any more.
    """

    name: str  # type: ignore[misc]
    xml: str | None
    gone: set[str] = dataclasses.field(default_factory=set)

    def find(self, host: Any) -> list[resource_types.Found]:
        """Find nothing: there is no agent."""
        return []

    def guest_device(
        self, device: objects.PciDevice, root: str = '/'
    ) -> str | None:
        """Return the element of a device."""
        if device.address in self.gone:
            raise resource_types.ResourceTypeError('it was pulled out')
        if self.xml is None:
            return None
        bus, _, port = device.address.partition('-')
        return self.xml.format(address=device.address, bus=bus, port=port)


class Generic(base.NovaTest):
    """Hosts with GPUs, slices of another GPU, and USB tokens.

    :ivar domains: instance UUID to the XML of its last defined domain.
    """

    def add_resource_types(self) -> None:
        """Add resource types and PCI flavors for them."""
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.mdev = Kind('mdev', _MDEV)
        self.usb = Kind('usb', _USB)
        self.slots = Kind('slots', None)
        kinds = {k.name: k for k in (self.mdev, self.usb, self.slots)}
        self.patch(resource_types, 'load', lambda: kinds)
        self.domains: dict[str, Any] = {}
        define = fakelibvirt.Connection.defineXML

        def record(connection: Any, xml: str) -> Any:
            domain = etree.fromstring(xml)
            self.domains[str(domain.findtext('uuid'))] = domain
            return define(connection, xml)

        self.patch(fakelibvirt.Connection, 'defineXML', record)
        describe = fakelibvirt.Domain.XMLDesc

        def with_usb(domain: Any, flags: int) -> str:
            xml = etree.fromstring(describe(domain, flags))
            defined = self.domains[str(xml.findtext('uuid'))]
            # Nova's fixture forgets USB devices.
            for hostdev in defined.iterfind('./devices/hostdev[@type="usb"]'):
                xml.find('./devices').append(copy.deepcopy(hostdev))
            return str(etree.tostring(xml, encoding='unicode'))

        self.patch(fakelibvirt.Domain, 'XMLDesc', with_usb)
        self.create_pci_flavor('slice', SLICE)
        self.create_pci_flavor('token', TOKEN)

    def start_generic_host(
        self, name: str, number: int = 0, slices: int = 3, tokens: int = 3
    ) -> None:
        """Start a host with two GPUs, slices and tokens.

        :param number: distinguishes the addresses of hosts.
        """
        self.start_host(name, bus=0x81 + number)
        self.report_generic(name, number, slices, tokens)

    def report_generic(
        self, name: str, number: int = 0, slices: int = 3, tokens: int = 3
    ) -> None:
        """Report all devices of a host of ``start_generic_host``."""
        info = fakelibvirt.HostPCIDevicesInfo(
            num_pci=3, num_pfs=0, num_vfs=0, bus=0x81 + number
        )
        self.report(
            name,
            [
                *base.offered(info, 1),
                *(slice_at(number, slot) for slot in range(slices)),
                *(token_at(number + 1, slot + 1) for slot in range(tokens)),
            ],
        )

    def elements(self, server: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return kind and address of a guest's ``<hostdev>`` elements.

        :returns: as it was last defined.
        """
        found = []
        for hostdev in self.domains[server['id']].findall('./devices/hostdev'):
            kind = str(hostdev.get('type'))
            address = hostdev.find('./source/address')
            if kind == 'mdev':
                found.append((kind, str(address.get('uuid'))))
            elif kind == 'usb':
                found.append(
                    (kind, f'{address.get("bus")}-{address.get("device")}')
                )
            else:
                parts = ('domain', 'bus', 'slot', 'function')
                values = (int(address.get(part), 16) for part in parts)
                found.append(
                    (kind, '{:04x}:{:02x}:{:02x}.{:x}'.format(*values))
                )
        return sorted(found)

    def assert_has(
        self,
        host: str,
        server: Mapping[str, Any],
        pci: int = 0,
        mdev: int = 0,
        usb: int = 0,
    ) -> list[str]:
        """Check that a server and its guest have devices, and no others.

        Only PCI functions have rows.

        :returns: their addresses.
        """
        held = self.assert_holds(host, server, pci, mdev, usb)
        elements = self.elements(server)
        self.assertEqual(held, sorted(address for _, address in elements))
        return held

    def assert_holds(
        self,
        host: str,
        server: Mapping[str, Any],
        pci: int = 0,
        mdev: int = 0,
        usb: int = 0,
    ) -> list[str]:
        """As ``assert_has``, without the guest."""
        held = {
            address: status
            for address, (status, owner) in self.held(host).items()
            if owner == server['id']
        }
        self.assertEqual({'allocated'}, set(held.values()) or {'allocated'})
        self.assertEqual(
            {'pci': pci, 'mdev': mdev, 'usb': usb},
            {
                'pci': sum(len(address) == 12 for address in held),
                'mdev': sum(len(address) == 36 for address in held),
                'usb': sum(len(address) < 12 for address in held),
            },
            held,
        )
        rows = [
            address
            for address, (_, owner) in self.attachment_rows(host).items()
            if owner == server['id']
        ]
        self.assertEqual(
            sorted(address for address in held if len(address) == 12),
            sorted(rows),
        )
        return sorted(held)


class GenericTest(Generic):
    """A test with resource types, and PCI flavors for all of them."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')
        self.add_resource_types()


def slice_at(number: int, slot: int) -> objects.PciDevice:
    """Return a slice of the GPU of a host."""
    return _device(
        resource_type='mdev',
        address=f'{number:08x}-0000-4000-8000-{slot:012x}',
        parent_addr=f'0000:{0xC1 + number:02x}:00.0',
        vendor_id='10de',
        product_id='25b6',
        pci_class='030200',
        numa_node=0,
        extra_info={'type': 'nvidia-558'},
    )


def token_at(bus: int, port: int) -> objects.PciDevice:
    """Return a USB token at a port of a host."""
    return _device(
        resource_type='usb',
        address=f'{bus}-{port}',
        vendor_id='1050',
        product_id='0407',
        extra_info={'type': 'crypto token'},
    )


def _device(**values: Any) -> objects.PciDevice:
    facts: dict[str, Any] = dict.fromkeys(
        (
            *('parent_addr', 'dev_type', 'subsystem_vendor_id', 'driver'),
            *('subsystem_id', 'pci_class', 'numa_node', 'iommu_group'),
            *('devname', 'mac_address', 'link_speed', 'total_vfs'),
            *('serial_number', 'vgpu_type', 'offered_by'),
        )
    )
    return objects.PciDevice(
        **(facts | {'capabilities': [], 'extra_info': {}} | values)
    )
