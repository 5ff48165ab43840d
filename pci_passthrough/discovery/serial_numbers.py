# SPDX-License-Identifier: Apache-2.0
"""Reads the serial numbers of a host's devices from sysfs.

Each kind of device has one source, so that a number never changes only
because a source could not be read: a storage controller of NVMe its own serial
number, a NIC its permanent MAC address, any other device the serial number of
its vital product data. A virtual function has none.
"""

import collections
from collections.abc import Collection
import os

from oslo_log import log as logging

from pci_passthrough import chroot_files
from pci_passthrough.discovery import vital_product_data
from pci_passthrough.objects import device as device_obj

LOG = logging.getLogger(__name__)

_NVME = '0108'
_ETHERNET = '0200'
_FUNCTIONS = 'sys/bus/pci/devices'

#: ``addr_assign_type``: the address is that of the hardware. A bond gives all
#: its ports one address.
_PERMANENT = '0'

#: Bits of the first octet of a MAC address: group address, and locally
#: administered address.
_NOT_UNIVERSAL = 0x03

#: A function in sysfs: its address, and the inode of its directory, which is
#: another one after the function was removed and appeared again.
_Key = tuple[str, int]


class SerialNumbers:
    """Reads serial numbers; remembers those of vital product data.

    The vital product data of a card take up to seconds to read. Not
    thread-safe.

    :param path: the host's root directory.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: dict[_Key, str | None] = {}

    def add(self, devices: Collection[device_obj.PciDevice]) -> None:
        """Set the serial numbers of all devices of a host, in place.

        libvirt may have set that of vital product data already.
        """
        files = chroot_files.ChrootFiles(self._path)
        known: dict[_Key, str | None] = {}
        for device in devices:
            if device.parent_addr is not None:
                device.serial_number = None
            elif (device.pci_class or '').startswith(_NVME):
                device.serial_number = _of_nvme(files, device.address)
            elif (device.pci_class or '').startswith(_ETHERNET):
                device.serial_number = _permanent_address(files, device)
            elif device.serial_number is None:
                key = _key(files, device.address)
                if key is None:
                    continue
                if key not in self._read:
                    self._read[key] = _of_vital_product_data(
                        files, device.address
                    )
                known[key] = device.serial_number = self._read[key]
        self._read = known
        _remove_ambiguous(devices)


def _remove_ambiguous(devices: Collection[device_obj.PciDevice]) -> None:
    """Remove the numbers that several devices have, in place.

    A card with a PCIe switch can have several functions of one kind and one
    function number, all with the card's number, and disks with equal numbers
    exist. If one of them failed, the number of another one would prove that
    the first one is there now.
    """
    counts = collections.Counter(map(_identifying, devices))
    for device in devices:
        if counts[_identifying(device)] > 1:
            device.serial_number = None


def _identifying(device: device_obj.PciDevice) -> tuple[str | None, ...]:
    """Return the facts by which a moved device is recognized."""
    return (
        device.vendor_id,
        device.product_id,
        device.address.rpartition('.')[2],
        device.serial_number,
    )


def _key(files: chroot_files.ChrootFiles, address: str) -> _Key | None:
    try:
        folder = files.resolve(f'{_FUNCTIONS}/{address}')
        return address, os.stat(os.path.join(files.root, folder)).st_ino
    except OSError:
        return None


def _of_nvme(files: chroot_files.ChrootFiles, address: str) -> str | None:
    folder = f'{_FUNCTIONS}/{address}/nvme'
    try:
        names = files.names(folder)
        texts = [files.read(f'{folder}/{name}/serial') for name in names]
    except OSError:
        return None
    return vital_product_data.usable(texts[0]) if len(texts) == 1 else None


def _permanent_address(
    files: chroot_files.ChrootFiles, device: device_obj.PciDevice
) -> str | None:
    if device.devname is None or '/' in device.devname:
        return None
    folder = f'sys/class/net/{device.devname}'
    try:
        if files.read(f'{folder}/addr_assign_type').strip() != _PERMANENT:
            return None
        text = files.read(f'{folder}/address')
        first = int(text[:2], 16)
    except (OSError, ValueError):
        return None
    # Only the address of a manufacturer is unique (IEEE 802-2014, 8.4).
    if first & _NOT_UNIVERSAL:
        return None
    return vital_product_data.usable(text)


def _of_vital_product_data(
    files: chroot_files.ChrootFiles, address: str
) -> str | None:
    """Read the vital product data, once; None if there are none.

    Only root can read them. Broken cards answer with an error, or garbage.
    """
    try:
        place = files.resolve(f'{_FUNCTIONS}/{address}/vpd')
        with open(os.path.join(files.root, place), 'rb', buffering=0) as file:
            data = file.read(vital_product_data.MOST_BYTES) or b''
    except FileNotFoundError:
        return None
    except OSError as error:
        LOG.debug('No vital product data of %s: %s', address, error)
        return None
    return vital_product_data.serial_number(data)
