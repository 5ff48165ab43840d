# SPDX-License-Identifier: Apache-2.0
"""What Nova remembers of how an instance is to be scheduled.

For nova-api, when it has begun its work.
"""

from typing import Any

from nova import objects

# There is none: the instance is older than these are, or gone.
from nova.exception import RequestSpecNotFound
from nova.objects.instance_pci_requests import InstancePCIRequests

__all__ = ['InstancePCIRequests', 'RequestSpecNotFound']


def pci_requests_of(context: Any, instance_uuid: str) -> Any:
    """Return the requests that an instance has now.

    :param context: one that is bound to the instance's cell.
    """
    return InstancePCIRequests.get_by_instance_uuid(context, instance_uuid)


def request_spec_of(context: Any, instance_uuid: str) -> Any:
    """Return what the scheduler will be asked for an instance.

    :raises RequestSpecNotFound:
    """
    return objects.RequestSpec.get_by_instance_uuid(context, instance_uuid)
