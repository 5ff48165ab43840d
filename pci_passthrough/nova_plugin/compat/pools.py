# SPDX-License-Identifier: Apache-2.0
"""Nova's PCI requests, and the pools that serve them.

``nova.pci.manager`` imports all of it before the class there is replaced.
"""

# The pools cannot serve a request.
from nova.exception import PciDeviceRequestFailed

# A request for PCI devices, native or for PCI flavors.
from nova.objects.instance_pci_requests import InstancePCIRequest

# A host's pools, in the scheduler and in the resource tracker.
from nova.pci.stats import PciDeviceStats

__all__ = [
    'InstancePCIRequest',
    'PciDeviceRequestFailed',
    'PciDeviceStats',
]
