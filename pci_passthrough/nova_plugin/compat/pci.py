# SPDX-License-Identifier: Apache-2.0
"""Nova's rows for PCI devices, and what nova-compute claims them with.

Imported right after ``nova.pci.manager`` was: before it can be changed.
"""

# A claim that fails: the one lets Nova try another host, the other is what
# callers of the PCI tracker expect.
from nova.exception import ComputeResourcesUnavailable

# Somebody else has deleted a row.
from nova.exception import PciDeviceNotFound
from nova.exception import PciDeviceRequestFailed
from nova.objects.fields import PciDeviceStatus

# All requests of an instance, to hand Nova's own of them to Nova's tracker.
from nova.objects.instance_pci_requests import InstancePCIRequests

# Nova's row for a device.
from nova.objects.pci_device import PciDevice

__all__ = [
    'ComputeResourcesUnavailable',
    'InstancePCIRequests',
    'PciDevice',
    'PciDeviceNotFound',
    'PciDeviceRequestFailed',
    'PciDeviceStatus',
]
