# SPDX-License-Identifier: Apache-2.0
"""Nova's rows for PCI devices, and errors of claims in nova-compute.

Imported right after ``nova.pci.manager``, before the class there is replaced.
"""

import dataclasses
from typing import Any

# The registry of Nova's objects. The module of ``Instance`` must not be
# imported here yet.
from nova import objects
from nova.compute import task_states
from nova.compute import vm_states

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

from pci_passthrough.nova_plugin import loaded

__all__ = [
    'ComputeResourcesUnavailable',
    'InstancePCIRequests',
    'PciDevice',
    'PciDeviceNotFound',
    'PciDeviceStatus',
]


@dataclasses.dataclass(frozen=True)
class Whereabouts:
    """Nova's record of where an instance is.

    :ivar host: None if it is on no host: shelved, for example.
    :ivar is_migrating_live: Nova claims for a live migration before it writes
        where the instance goes.
    :ivar is_broken: its state is ERROR; an operator may still change where
        it is.
    :ivar migration_id: the migration that its migration context is of, if it
        has one.
    """

    host: str | None
    is_migrating_live: bool
    is_broken: bool
    migration_id: int | None


def whereabouts_of(context: Any, instance_uuid: str) -> Whereabouts | None:
    """Return where an instance is; None if it was deleted."""
    try:
        instance = objects.Instance.get_by_uuid(
            context, instance_uuid, expected_attrs=['migration_context']
        )
    except InstanceNotFound:
        return None
    moving = instance.migration_context
    return Whereabouts(
        instance.host,
        instance.task_state == task_states.MIGRATING,
        instance.vm_state == vm_states.ERROR,
        moving and moving.migration_id,
    )


def project_of(context: Any, instance_uuid: str) -> str | None:
    """Return the project of an instance; None if it was deleted.

    The request context does not tell: an administrator may move the instance.
    """
    try:
        instance = objects.Instance.get_by_uuid(
            context, instance_uuid, expected_attrs=[]
        )
    except InstanceNotFound:
        return None
    project: str | None = instance.project_id
    return project


def has_failed(migration: Any) -> bool:
    """Whether a move of an instance has failed; Nova keeps its record."""
    return bool(loaded.attribute(migration, 'status') == 'error')
