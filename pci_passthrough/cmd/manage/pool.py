# SPDX-License-Identifier: Apache-2.0
"""``pool …``: commands of ``openstack pci pool``, for the operator."""

from typing import Any
from typing import cast

from pci_passthrough.cmd.manage import formatters
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import pci_pool
from pci_passthrough.sdk import proxy

_SHORT: columns.Columns = {
    'Host': columns.field('host'),
    'Vendor:Product': formatters.vendor_and_product,
    'Type': columns.device_type,
    'NUMA Node': columns.field('numa_node', columns.OrDash),
    'Extra Info': columns.field('extra_info', columns.Tags),
    'Free': columns.field('free'),
    'Total': columns.field('total'),
}

_LONG: columns.Columns = {
    **_SHORT,
    'Subsystem Vendor': columns.field('subsystem_vendor_id', columns.OrDash),
    'Subsystem': columns.field('subsystem_id', columns.OrDash),
    'Class': columns.field('pci_class', columns.OrDash),
    'Driver': columns.field('driver', columns.OrDash),
    'vGPU Type': columns.field('vgpu_type', columns.OrDash),
    'Resource Type': columns.field('resource_type', columns.OrDash),
}


class List(pci_pool.List):
    """List pools: groups of equal devices of one host, counted.

    Only of hosts whose agent is up. As for "claim", their resource trackers
    need not have registered.
    """

    short_columns = _SHORT
    long_columns = _LONG

    @property
    def service(self) -> proxy.Proxy:
        """The service for which hosts without a resource tracker are up."""
        manager: Any = self.app.client_manager
        return cast(proxy.Proxy, manager.without_trackers)
