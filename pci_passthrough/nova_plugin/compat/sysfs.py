# SPDX-License-Identifier: Apache-2.0
"""Nova's functions that read facts of network devices from sysfs.

``nova.pci.manager`` imports them before the class there is replaced.
"""

# The device is no network device, or no driver is bound to it.
from nova.exception import PciDeviceNotFoundById
from nova.pci import utils

__all__ = ['PciDeviceNotFoundById']


def mac_of(address: str) -> str:
    """Return the MAC address of a device's network interface.

    :raises PciDeviceNotFoundById: the device has no interface.
    """
    return str(utils.get_mac_by_pci_address(address))


def vf_number_of(address: str) -> int:
    """Return a virtual function's number at its physical function.

    :raises PciDeviceNotFoundById: the device has no physical function.
    """
    return int(utils.get_vf_num_by_pci_address(address))
