# SPDX-License-Identifier: Apache-2.0
"""Nova's records of the requests of an instance.

Imported in nova-api when it is running.
"""

from typing import Any

from nova import objects

# The instance has no request spec: it is very old, or deleted.
from nova.exception import RequestSpecNotFound
from nova.objects.instance_pci_requests import InstancePCIRequests

__all__ = ['InstancePCIRequests', 'RequestSpecNotFound']


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
