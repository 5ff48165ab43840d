# SPDX-License-Identifier: Apache-2.0
"""Nova's rows for PCI devices, and errors of claims in nova-compute.

Imported right after ``nova.pci.manager``, before the class there is replaced.
"""

from typing import Any

# The registry of Nova's objects. The module of ``Instance`` must not be
# imported here yet.
from nova import objects

# A claim failed: Nova tries another host.
from nova.exception import ComputeResourcesUnavailable
from nova.exception import InstanceNotFound

# Another process has deleted a row.
from nova.exception import PciDeviceNotFound
from nova.objects.fields import PciDeviceStatus

# All requests of an instance; Nova's tracker gets one with native requests.
from nova.objects.instance_pci_requests import InstancePCIRequests

# Nova's row for a device.
from nova.objects.pci_device import PciDevice

__all__ = [
    'ComputeResourcesUnavailable',
    'InstancePCIRequests',
    'PciDevice',
    'PciDeviceNotFound',
    'PciDeviceStatus',
]


def is_migrating(context: Any, instance_uuid: str) -> bool:
    """Whether an instance is migrating live; False if it was deleted."""
    try:
        instance = objects.Instance.get_by_uuid(
            context, instance_uuid, expected_attrs=[]
        )
    except InstanceNotFound:
        return False
    return bool(instance.task_state == 'migrating')
