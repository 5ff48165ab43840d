# SPDX-License-Identifier: Apache-2.0

"""A simulated host for libvirt's test driver.

The test driver (``test:///FILE``) reads a ``<node>`` file and returns its
devices through the real libvirt client library. It drops ``<driver>``, and
does not know which devices the host itself uses. A folder with the structure
of the host's ``/`` has these facts.
"""

from __future__ import annotations

import dataclasses
import pathlib
from xml.sax import saxutils

from pci_passthrough.demo import hosttree
from pci_passthrough.demo import inventory
from pci_passthrough.demo import usb


@dataclasses.dataclass(frozen=True)
class DemoHost:
    """A written host: its libvirt URI, and the folder of its files."""

    name: str
    uri: str
    host_root: pathlib.Path


def device_name(address: str) -> str:
    """Return libvirt's name of a PCI device."""
    return 'pci_' + address.replace(':', '_').replace('.', '_')


def _address_xml(address: str) -> str:
    domain, bus, slot, function = inventory.split_address(address)
    return (
        f"<address domain='{domain:#06x}' bus='{bus:#04x}' "
        f"slot='{slot:#04x}' function='{function:#x}'/>"
    )


def _addresses_xml(addresses: list[str]) -> str:
    return ''.join(map(_address_xml, addresses))


def _link_xml(device: inventory.Device) -> str:
    if device.link is not None:
        link = f"speed='{device.link.speed}' width='{device.link.width}'"
        return (
            f"<pci-express><link validity='cap' port='0' {link}/>"
            f"<link validity='sta' {link}/></pci-express>"
        )
    # A virtual function has no link of its own: status width 0.
    return (
        "<pci-express><link validity='cap' port='0' speed='16' width='16'/>"
        "<link validity='sta' width='0'/></pci-express>"
    )


def _pci_xml(
    host: inventory.Host, device: inventory.Device, group: list[str]
) -> str:
    domain, bus, slot, function = inventory.split_address(device.address)
    model = device.model
    parent = device_name(device.parent) if device.parent else 'computer'
    parts = [
        f'<device><name>{device_name(device.address)}</name>',
        f'<path>/sys/{host.path(device.address)}</path>',
        f'<parent>{parent}</parent>',
        f'<driver><name>{device.driver}</name></driver>',
        "<capability type='pci'>",
        f'<class>{model.class_code:#08x}</class>',
        f'<domain>{domain}</domain><bus>{bus}</bus>',
        f'<slot>{slot}</slot><function>{function}</function>',
        f"<product id='{model.product_id:#06x}'>",
        f'{saxutils.escape(model.product)}</product>',
        f"<vendor id='{model.vendor_id:#06x}'>",
        f'{saxutils.escape(model.vendor)}</vendor>',
    ]
    if device.physical_function is not None:
        physical = _address_xml(device.physical_function)
        parts.append(
            f"<capability type='phys_function'>{physical}</capability>"
        )
    if device.total_vfs:
        parts.append(
            f"<capability type='virt_functions' "
            f"maxCount='{device.total_vfs}'>"
            f'{_addresses_xml(device.vfs)}</capability>'
        )
    if device.bridge_buses is not None:
        parts.append("<capability type='pci-bridge'/>")
    parts += [
        f"<iommuGroup number='{device.iommu_group}'>",
        f'{_addresses_xml(group)}</iommuGroup>',
        f"<numa node='{device.numa_node}'/>",
        f'{_link_xml(device)}</capability></device>',
    ]
    return ''.join(parts)


def _net_xml(host: inventory.Host, device: inventory.Device) -> str:
    interface = device.interface
    if interface is None:
        return ''
    name = f'net_{interface.name}_{interface.mac.replace(":", "_")}'
    path = f'/sys/{host.path(device.address)}/net/{interface.name}'
    # Speed is known only while the link is up.
    link = (
        f"speed='{interface.speed}' state='up'"
        if interface.up
        else "state='down'"
    )
    features = ''.join(
        f"<feature name='{feature}'/>" for feature in interface.features
    )
    return (
        f'<device><name>{name}</name><path>{path}</path>'
        f'<parent>{device_name(device.address)}</parent>'
        f"<capability type='net'><interface>{interface.name}</interface>"
        f'<address>{interface.mac}</address><link {link}/>{features}'
        f"<capability type='80203'/></capability></device>"
    )


def _vhba_xml() -> str:
    # The test driver only has an event for a new vHBA: creating one below
    # scsi_host1 adds scsi_host12, as a copy of scsi_host11.
    parts = []
    ports = (
        "<capability type='vport_ops'><max_vports>254</max_vports>"
        '<vports>0</vports></capability>'
    )
    for number, parent, extra in (
        (1, 'computer', ports),
        (11, 'scsi_host1', ''),
    ):
        parts.append(
            f'<device><name>scsi_host{number}</name>'
            f"<parent>{parent}</parent><capability type='scsi_host'>"
            f'<host>{number}</host><unique_id>0</unique_id>'
            f"<capability type='fc_host'>"
            f'<wwnn>2{number:03d}0000c9848140</wwnn>'
            f'<wwpn>1{number:03d}0000c9848140</wwpn>'
            f'<fabric_wwn>2002000573de9a81</fabric_wwn></capability>'
            f'{extra}</capability></device>'
        )
    return '\n'.join(parts)


def node_xml(host: inventory.Host) -> str:
    """Return the ``<node>`` file of a host, for ``test:///FILE``."""
    groups = host.groups()
    parts = [
        '<node>',
        "<device><name>computer</name><capability type='system'>"
        '<hardware><vendor>Libvirt</vendor><version>Test driver</version>'
        '<serial>1</serial>'
        '<uuid>11111111-2222-3333-4444-555555555555</uuid></hardware>'
        '<firmware><vendor>Libvirt</vendor><version>Test</version>'
        '<release_date>01/22/2007</release_date></firmware>'
        '</capability></device>',
        _vhba_xml(),
    ]
    for address in sorted(host.devices):
        device = host.devices[address]
        parts.append(_pci_xml(host, device, groups[device.iommu_group]))
        parts.append(_net_xml(host, device))
    parts += usb.node_devices_xml(host)
    parts += [
        '<cpu><mhz>2400</mhz><model>x86_64</model><active>64</active>'
        f'<nodes>{host.shape.numa_nodes}</nodes><sockets>1</sockets>'
        f'<cores>{32 // host.shape.numa_nodes}</cores>'
        '<threads>2</threads></cpu>',
        '<memory>536870912</memory>',
        '</node>',
    ]
    return '\n'.join(filter(None, parts))


def write_host(host: inventory.Host, folder: pathlib.Path) -> DemoHost:
    """Write ``NAME.xml`` and the host's root ``NAME/`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f'{host.name}.xml'
    file.write_text(node_xml(host))
    root = folder / host.name
    hosttree.sysfs_tree(host).write(root / 'sys')
    hosttree.facts_tree(host).write(root)
    return DemoHost(host.name, f'test://{file.resolve()}', root)
