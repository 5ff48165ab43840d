# SPDX-License-Identifier: Apache-2.0
"""How Nova reads a network device's facts from the host it runs on.

Its modules are among those which ``nova.pci.manager`` has imported.
"""

# The device is no network device, or its driver is not bound.
from nova.exception import PciDeviceNotFoundById
from nova.pci import utils

__all__ = ['PciDeviceNotFoundById']


def mac_of(address: str) -> str:
    """Return the MAC address of a device's network interface.

    :raises PciDeviceNotFoundById: it has none.
    """
    return str(utils.get_mac_by_pci_address(address))


def vf_number_of(address: str) -> int:
    """Return a virtual function's number at its physical function.

    :raises PciDeviceNotFoundById: there is none.
    """
    return int(utils.get_vf_num_by_pci_address(address))
