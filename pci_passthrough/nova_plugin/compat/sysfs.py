# SPDX-License-Identifier: Apache-2.0
"""How Nova reads a network device's facts from the host it runs on.

Its modules are among those which ``nova.pci.manager`` has imported.
"""

# The device is no network device, or its driver is not bound.
from nova.exception import PciDeviceNotFoundById
from nova.pci import utils

__all__ = ['PciDeviceNotFoundById', 'utils']
