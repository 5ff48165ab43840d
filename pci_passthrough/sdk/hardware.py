# SPDX-License-Identifier: Apache-2.0
"""What devices and pools of devices have in common."""

from openstack import resource

from pci_passthrough.sdk import base

#: The parameters by which both can be filtered.
FILTERS = (
    'pci_flavor', 'vendor_id', 'product_id', 'dev_type', 'numa_node',
    'resource_type', 'host',
)  # fmt: skip


class Hardware(base.Resource):
    """A device, or devices that are alike, of one host."""

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
