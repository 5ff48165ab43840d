# SPDX-License-Identifier: Apache-2.0
"""Nova's PCI requests, and the pools that they are served from.

``nova.pci.manager`` has imported all of it before it can be changed.
"""

# Raised where pools cannot serve a request.
from nova.exception import PciDeviceRequestFailed

# How many devices of what; a request for PCI flavors is one of them.
from nova.objects.instance_pci_requests import InstancePCIRequest

# A host's pools, in the scheduler and in the resource tracker.
from nova.pci.stats import PciDeviceStats

__all__ = [
    'InstancePCIRequest',
    'PciDeviceRequestFailed',
    'PciDeviceStats',
]
