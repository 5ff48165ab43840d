# SPDX-License-Identifier: Apache-2.0
"""Nova's records of the requests of an instance.

Imported in nova-api, nova-conductor and nova-scheduler when they are running.
"""

from typing import Any

from nova import objects
from nova.compute import task_states

# The instance has no request spec: it is very old, or deleted.
from nova.exception import RequestSpecNotFound
from nova.objects.instance_pci_requests import InstancePCIRequests

# In a rebuild the instance stays on its host, and keeps its devices.
from nova.scheduler.utils import request_is_rebuild
from nova.virt import hardware

from pci_passthrough.nova_plugin import loaded

__all__ = [
    'InstancePCIRequests',
    'RequestSpecNotFound',
    'request_is_rebuild',
]


def pci_requests_of(context: Any, instance_uuid: str) -> Any:
    """Return the PCI requests that an instance has now.

    :param context: a context that is bound to the instance's cell.
    """
    return InstancePCIRequests.get_by_instance_uuid(context, instance_uuid)


def request_spec_of(context: Any, instance_uuid: str) -> Any:
    """Return the request spec that Nova schedules an instance by.

    :raises RequestSpecNotFound: the instance has none.
    """
    return objects.RequestSpec.get_by_instance_uuid(context, instance_uuid)


def is_resize(spec: Any, instance: Any) -> bool:
    """Whether an instance is being resized, to the flavor of the spec.

    The spec of any other move has the instance's flavor, unless a resize has
    failed before.
    """
    return bool(
        instance.task_state == task_states.RESIZE_PREP
        and spec.flavor.id != instance.flavor.id
    )


def is_live_migration(instance: Any) -> bool:
    """Whether an instance is being migrated live."""
    return bool(instance.task_state == task_states.MIGRATING)


def is_unshelving(instance: Any) -> bool:
    """Whether an instance is being unshelved."""
    state = loaded.attribute(instance, 'task_state')
    return bool(state == task_states.UNSHELVING)


def set_flavor(spec: Any, instance: Any) -> None:
    """Set a spec's flavor and NUMA topology to those of the instance."""
    spec.flavor = instance.flavor
    spec.numa_topology = hardware.numa_get_constraints(
        instance.flavor, instance.image_meta
    )


def cell_of_host(context: Any, host: str) -> str:
    """Return the UUID of a host's cell.

    :raises HostMappingNotFound: Nova does not know the host.
    """
    mapping = objects.HostMapping.get_by_host(context, host)
    return str(mapping.cell_mapping.uuid)
