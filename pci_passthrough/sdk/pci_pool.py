# SPDX-License-Identifier: Apache-2.0
"""Pools of equal devices."""

from openstack import resource

from pci_passthrough.sdk import base

#: Filters of pools and of devices.
FILTERS = (
    'pci_flavor', 'vendor_id', 'product_id', 'dev_type', 'numa_node',
    'resource_type', 'host',
)  # fmt: skip


class PciPool(base.Resource):
    """Devices of one host that are alike, counted."""

    resources_key = 'pci_pools'
    base_path = '/pci-pools'
    allow_list = True
    query_names = FILTERS

    host: str = resource.Body('host')
    vendor_id: str | None = resource.Body('vendor_id')
    product_id: str | None = resource.Body('product_id')
    subsystem_vendor_id: str | None = resource.Body('subsystem_vendor_id')
    subsystem_id: str | None = resource.Body('subsystem_id')
    pci_class: str | None = resource.Body('pci_class')
    #: type-PCI, type-PF, type-VF or vdpa; None if it is no PCI function.
    dev_type: str | None = resource.Body('dev_type')
    driver: str | None = resource.Body('driver')
    numa_node: int | None = resource.Body('numa_node', type=int)
    vgpu_type: str | None = resource.Body('vgpu_type')
    #: pci, mdev, usb, or another one; since microversion 1.3.
    resource_type: str | None = resource.Body('resource_type')
    #: The tags from the host's PCI information.
    extra_info: dict[str, str] = resource.Body('extra_info', type=dict)
    free: int = resource.Body('free', type=int)
    total: int = resource.Body('total', type=int)
