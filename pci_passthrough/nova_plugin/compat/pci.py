# SPDX-License-Identifier: Apache-2.0
"""Nova's rows for PCI devices, and what nova-compute claims them with.

Imported right after ``nova.pci.manager`` was: before it can be changed.
"""

from typing import Any

# The registry of Nova's objects: the module of an instance must not be
# imported from here yet.
from nova import objects

# A claim that fails: Nova tries another host.
from nova.exception import ComputeResourcesUnavailable
from nova.exception import InstanceNotFound

# Somebody else has deleted a row.
from nova.exception import PciDeviceNotFound
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
    'PciDeviceStatus',
]


def is_migrating(context: Any, instance_uuid: str) -> bool:
    """Whether there is such an instance and it is migrating live."""
    try:
        instance = objects.Instance.get_by_uuid(
            context, instance_uuid, expected_attrs=[]
        )
    except InstanceNotFound:
        return False
    return bool(instance.task_state == 'migrating')
