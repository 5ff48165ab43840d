# SPDX-License-Identifier: Apache-2.0
"""USB devices.

The address of a USB device is the kernel's name for its bus and port,
``1-2.3``: port 3 of the hub at port 2 of bus 1. It stays the same when a
device is plugged in again at the same port. The numbers by which QEMU opens a
device change each time, and are read directly before a guest starts.

The files are described in the kernel's Documentation/ABI/stable/sysfs-bus-usb.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import re
from xml.etree import ElementTree

from pci_passthrough import chroot_files
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields
from pci_passthrough.resource_types import interface
from pci_passthrough.resource_types import node_devices

_DEVICES = 'sys/bus/usb/devices'
_NAME = re.compile(r'[1-9]\d*-\d+(?:\.\d+)*', re.ASCII)
#: ``bDeviceClass`` of hubs.
_HUB = '09'
#: The driver of the interfaces that a program has claimed.
_USBFS = 'usbfs'
_ID = re.compile(r'[0-9a-f]{4}', re.ASCII)


class UsbDevices(interface.ResourceType):
    """The USB devices of a host; hubs are none of them.

    Whether the host itself uses one is decided by ``discovery.in_use``, as for
    PCI functions.
    """

    name = fields.ResourceType.USB

    def find(self, host: interface.Host) -> Sequence[interface.Found]:
        """Return the devices that libvirt lists, with facts from sysfs."""
        listed = list(_listed(host.documents))
        hubs = {device.parent for device in listed}
        devices = [device for device in listed if device.name not in hubs]
        if host.root is not None:
            files = chroot_files.ChrootFiles(host.root)
            devices = [
                device
                for listed_device in devices
                if (device := _with_files(files, listed_device)) is not None
            ]
        return [
            interface.Found(
                _described(device),
                function=_controller(device.path),
                is_given_out=device.is_given_out,
            )
            for device in _without_ambiguous_numbers(devices)
        ]

    def guest_device(
        self, device: device_obj.PciDevice, root: str = '/'
    ) -> str | None:
        """Return ``<hostdev type='usb'>`` with the numbers of this moment.

        :raises ResourceTypeError: nothing, or another device, is plugged in
            at the port.
        """
        files = chroot_files.ChrootFiles(root)
        try:
            present = _facts(files, device.address)
            bus, number = _numbers(files, device.address)
        except FileNotFoundError as error:
            raise interface.ResourceTypeError(
                f'no USB device is plugged in at {device.address}'
            ) from error
        except (OSError, ValueError) as error:
            raise interface.ResourceTypeError(
                f'the USB device at {device.address} cannot be read: {error}'
            ) from error
        _check_same(device, present)
        return (
            "<hostdev mode='subsystem' type='usb' managed='yes'><source>"
            f"<vendor id='0x{present.vendor_id}'/>"
            f"<product id='0x{present.product_id}'/>"
            f"<address bus='{bus}' device='{number}'/></source></hostdev>"
        )

    def nodes(
        self, device: device_obj.PciDevice, root: str = '/'
    ) -> Iterable[str]:
        """Return the node that QEMU and libusb open."""
        try:
            bus, number = _numbers(
                chroot_files.ChrootFiles(root), device.address
            )
        except FileNotFoundError:
            return ()
        return (f'/dev/bus/usb/{bus:03d}/{number:03d}',)


@dataclasses.dataclass(frozen=True, slots=True)
class _UsbDevice:
    """What identifies a USB device."""

    address: str
    vendor_id: str
    product_id: str
    serial_number: str | None = None
    #: libvirt's name of its node device, and of the hub that it is behind
    name: str = ''
    parent: str = ''
    #: its directory in sysfs as libvirt knows it
    path: str = ''
    #: whether a program has it through usbfs, as QEMU does for a guest
    is_given_out: bool = False


def _listed(documents: Iterable[str]) -> Iterator[_UsbDevice]:
    """Yield the USB devices among libvirt's node devices."""
    for node in node_devices.with_capability(documents, 'usb_device'):
        address = _address(node)
        vendor_id, product_id = (
            _id_of(node.capability.find(name))
            for name in ('vendor', 'product')
        )
        if address and vendor_id and product_id:
            yield _UsbDevice(
                address=address,
                vendor_id=vendor_id,
                product_id=product_id,
                name=node.name,
                parent=node.parent,
                path=node.path,
            )


def _address(node: node_devices.NodeDevice) -> str | None:
    """Return the kernel's name of a device, None for a root hub.

    libvirt's name is the kernel's with underscores for all but letters and
    digits: ``usb_1_2_3``.
    """
    name = node.path.rpartition('/')[2]
    if not name:
        bus, _, ports = node.name.removeprefix('usb_').partition('_')
        name = f'{bus}-{ports.replace("_", ".")}'
    return name if _NAME.fullmatch(name) else None


def _id_of(element: ElementTree.Element | None) -> str:
    text = '' if element is None else element.get('id', '')
    digits = text.removeprefix('0x').lower()
    return digits if _ID.fullmatch(digits) else ''


def _with_files(
    files: chroot_files.ChrootFiles, listed: _UsbDevice
) -> _UsbDevice | None:
    """Return a device as sysfs has it; None for a hub, or if it is gone.

    :raises OSError: sysfs cannot be read.
    """
    try:
        kind = files.read(f'{_DEVICES}/{listed.address}/bDeviceClass')
        if kind.strip() == _HUB:
            return None
        return dataclasses.replace(
            _facts(files, listed.address),
            path=listed.path,
            is_given_out=_is_given_out(files, listed.address),
        )
    except FileNotFoundError:
        return None


def _facts(files: chroot_files.ChrootFiles, address: str) -> _UsbDevice:
    """Read what is plugged in at a port.

    :raises OSError: nothing is, or it cannot be read.
    :raises ValueError: the address is malformed.
    """
    if not _NAME.fullmatch(address):
        raise ValueError(f'{address!r} is not bus and port of a USB device')
    folder = f'{_DEVICES}/{address}'
    serial = files.read_if_exists(f'{folder}/serial') or ''
    return _UsbDevice(
        address=address,
        vendor_id=files.read(f'{folder}/idVendor').strip().lower(),
        product_id=files.read(f'{folder}/idProduct').strip().lower(),
        serial_number=_usable(serial),
    )


def _numbers(files: chroot_files.ChrootFiles, address: str) -> tuple[int, int]:
    """Return the numbers of the bus and of the device now.

    :raises OSError: nothing is plugged in, or it cannot be read.
    """
    bus, number = (
        int(files.read(f'{_DEVICES}/{address}/{name}'))
        for name in ('busnum', 'devnum')
    )
    return bus, number


def _is_given_out(files: chroot_files.ChrootFiles, address: str) -> bool:
    folder = f'{_DEVICES}/{address}'
    for name in files.names(folder):
        if name.startswith(f'{address}:'):
            try:
                driver = files.link(f'{folder}/{name}/driver')
            except FileNotFoundError:
                continue
            if driver.rpartition('/')[2] == _USBFS:
                return True
    return False


def _controller(path: str) -> str | None:
    """Return the PCI function that a USB device is behind."""
    functions = [p for p in path.split('/') if fields.is_pci_address(p)]
    return functions[-1] if functions else None


def _usable(serial: str) -> str | None:
    """Return a serial number; None if it says nothing, such as only zeros."""
    text = serial.strip()
    is_usable = len({*text} - {*' -.'}) > 1 and text.isascii()
    return text if is_usable and text.isprintable() else None


def _without_ambiguous_numbers(
    devices: Collection[_UsbDevice],
) -> Iterator[_UsbDevice]:
    """Yield devices; those with equal serial numbers have none.

    A number that several have would prove that one of them is another.
    """
    counts = collections.Counter(map(_identifying, devices))
    for device in devices:
        if counts[_identifying(device)] > 1:
            device = dataclasses.replace(device, serial_number=None)
        yield device


def _identifying(device: _UsbDevice) -> tuple[str | None, ...]:
    return device.vendor_id, device.product_id, device.serial_number


def _described(device: _UsbDevice) -> device_obj.PciDevice:
    return device_obj.described(
        resource_type=fields.ResourceType.USB,
        address=device.address,
        vendor_id=device.vendor_id,
        product_id=device.product_id,
        serial_number=device.serial_number,
    )


def _check_same(wanted: device_obj.PciDevice, present: _UsbDevice) -> None:
    """Check that a device is still the one that was claimed.

    :raises ResourceTypeError: it is another one.
    """
    ids = f'{wanted.vendor_id}:{wanted.product_id}'
    present_ids = f'{present.vendor_id}:{present.product_id}'
    number = wanted.get('serial_number')
    if ids != present_ids:
        reason = f'{present_ids} is plugged in'
    elif number is not None and number != present.serial_number:
        reason = f'the one with serial number {present.serial_number} is there'
    else:
        return
    wanted_text = ids if number is None else f'{ids} serial number {number}'
    raise interface.ResourceTypeError(
        f'the USB device at {wanted.address} is not {wanted_text}: {reason}'
    )
