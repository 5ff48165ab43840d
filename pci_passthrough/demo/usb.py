# SPDX-License-Identifier: Apache-2.0

"""USB devices of a simulated host: their files, and libvirt's XML."""

from __future__ import annotations

from xml.sax import saxutils

from pci_passthrough.demo import cards
from pci_passthrough.demo import inventory
from pci_passthrough.demo import tree as tree_module

_USB = 'bus/usb'

_ROOT_HUB = cards.UsbModel(
    0x1D6B, 0x0002, 'Linux', 'xHCI Host Controller', ((0x09, 'hub'),), 0x09
)


def add_devices(tree: tree_module.Tree, host: inventory.Host) -> None:
    """Add all USB devices with their root hubs (below ``/sys``)."""
    for device in host.usb_devices.values():
        root_hub = f'{host.path(device.controller)}/usb{device.bus}'
        if f'{root_hub}/devnum' not in tree:
            _add_root_hub(tree, root_hub, device.bus)
        _add_device(tree, host, device)


def _add_root_hub(tree: tree_module.Tree, path: str, bus: int) -> None:
    attributes: dict[str, object] = {
        'idVendor': f'{_ROOT_HUB.vendor_id:04x}',
        'idProduct': f'{_ROOT_HUB.product_id:04x}',
        'bDeviceClass': '09',
        'busnum': bus,
        'devnum': 1,
        'dev': f'189:{_minor(bus, 1)}',
        'uevent': _uevent(bus, 1),
    }
    _add_attributes(tree, path, attributes)


def _add_device(
    tree: tree_module.Tree, host: inventory.Host, device: inventory.UsbDevice
) -> None:
    path, model = host.usb_path(device.name), device.model
    attributes: dict[str, object] = {
        'idVendor': f'{model.vendor_id:04x}',
        'idProduct': f'{model.product_id:04x}',
        'bDeviceClass': f'{model.device_class:02x}',
        'busnum': device.bus,
        'devnum': device.number,
        'dev': f'189:{_minor(device.bus, device.number)}',
        'manufacturer': model.vendor,
        'product': model.product,
        'uevent': _uevent(device.bus, device.number),
    }
    if device.serial:
        attributes['serial'] = device.serial
    _add_attributes(tree, path, attributes)
    for number, (code, driver) in enumerate(model.interfaces):
        interface = f'{device.name}:1.{number}'
        tree.file(f'{path}/{interface}/bInterfaceClass', f'{code:02x}')
        tree.file(f'{path}/{interface}/uevent', 'DEVTYPE=usb_interface')
        tree.link(f'{path}/{interface}/subsystem', _USB)
        tree.link(f'{_USB}/devices/{interface}', f'{path}/{interface}')
        if driver is not None:
            tree.folder(f'{_USB}/drivers/{driver}')
            tree.link(f'{path}/{interface}/driver', f'{_USB}/drivers/{driver}')


def _add_attributes(
    tree: tree_module.Tree, path: str, attributes: dict[str, object]
) -> None:
    for name, value in attributes.items():
        tree.file(f'{path}/{name}', value)
    tree.folder(f'{_USB}/drivers/usb')
    tree.link(f'{path}/driver', f'{_USB}/drivers/usb')
    tree.link(f'{path}/subsystem', _USB)
    tree.link(f'{_USB}/devices/{path.rpartition("/")[2]}', path)


def _uevent(bus: int, number: int) -> str:
    return (
        f'DEVTYPE=usb_device\nDRIVER=usb\nDEVNAME=bus/usb/{bus:03d}/'
        f'{number:03d}\nBUSNUM={bus:03d}\nDEVNUM={number:03d}\nMAJOR=189\n'
        f'MINOR={_minor(bus, number)}'
    )


def _minor(bus: int, number: int) -> int:
    return (bus - 1) * 128 + number - 1


def udev_records(host: inventory.Host) -> tree_module.Tree:
    """Return udev's records of the USB devices (below ``/``)."""
    tree = tree_module.Tree()
    for device in host.usb_devices.values():
        _add_record(tree, device.bus, 1, _ROOT_HUB)
        _add_record(tree, device.bus, device.number, device.model)
    return tree


def _add_record(
    tree: tree_module.Tree, bus: int, number: int, model: cards.UsbModel
) -> None:
    tree.file(
        f'run/udev/data/c189:{_minor(bus, number)}',
        f'I:1000000\nE:ID_VENDOR_ID={model.vendor_id:04x}\n'
        f'E:ID_MODEL_ID={model.product_id:04x}',
    )


def disk_path(host: inventory.Host, device: inventory.UsbDevice) -> str:
    """Return the folder of a USB device's disk, relative to ``/sys``."""
    name = '' if device.disk is None else device.disk.name
    return (
        f'{host.usb_path(device.name)}/{device.name}:1.0/host6/target6:0:0/'
        f'6:0:0:0/block/{name}'
    )


def node_name(name: str) -> str:
    """Return libvirt's name of a USB device, from the kernel's."""
    return 'usb_' + name.replace('-', '_').replace('.', '_')


def node_devices_xml(host: inventory.Host) -> list[str]:
    """Return the XML of the node devices, without root hubs."""
    return [_xml(host, device) for device in host.usb_devices.values()]


def _xml(host: inventory.Host, device: inventory.UsbDevice) -> str:
    model = device.model
    return (
        f'<device><name>{node_name(device.name)}</name>'
        f'<path>/sys/{host.usb_path(device.name)}</path>'
        f'<parent>{node_name(device.parent)}</parent>'
        "<driver><name>usb</name></driver><capability type='usb_device'>"
        f'<bus>{device.bus}</bus><device>{device.number}</device>'
        f"<product id='{model.product_id:#06x}'>"
        f'{saxutils.escape(model.product)}</product>'
        f"<vendor id='{model.vendor_id:#06x}'>"
        f'{saxutils.escape(model.vendor)}</vendor></capability></device>'
    )
