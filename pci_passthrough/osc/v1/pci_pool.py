# SPDX-License-Identifier: Apache-2.0
"""``openstack pci pool …``."""

from collections.abc import Iterable

from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import listing
from pci_passthrough.osc.v1 import options
from pci_passthrough.sdk import base as sdk_base

#: For lists of devices, too.
QUERY_OPTIONS: options.QueryOptions = {
    'host': {
        'action': 'append',
        'help': 'only those of this host (repeat for more than one)',
    },
    'pci_flavor': {
        'help': 'only those which this PCI flavor matches (name or UUID)'
    },
    'vendor_id': {'help': 'only devices of this vendor, for example 8086'},
    'product_id': {'help': 'only this product, for example 10ca'},
    'dev_type': {
        'choices': ('type-PCI', 'type-PF', 'type-VF', 'vdpa'),
        'metavar': '<dev-type>',
        'help': 'only this type: type-PCI, type-PF, type-VF or vdpa',
    },
    'numa_node': options.NUMA_NODE,
    'resource_type': {
        'help': 'only this resource type: pci, mdev, usb, or another one'
    },
}

_SHORT: columns.Columns = {
    'Host': columns.field('host'),
    'Type': columns.device_type,
    'Vendor ID': columns.field('vendor_id', columns.OrDash),
    'Product ID': columns.field('product_id', columns.OrDash),
    'NUMA Node': columns.field('numa_node', columns.OrDash),
    'Extra Info': columns.field('extra_info', columns.Tags),
    'Free': columns.field('free'),
    'Total': columns.field('total'),
}

_LONG: columns.Columns = {
    'ID': columns.field('id'),
    **_SHORT,
    'Subsystem Vendor ID': columns.field(
        'subsystem_vendor_id', columns.OrDash
    ),
    'Subsystem ID': columns.field('subsystem_id', columns.OrDash),
    'Class': columns.field('pci_class', columns.OrDash),
    'Driver': columns.field('driver', columns.OrDash),
    'vGPU Type': columns.field('vgpu_type', columns.OrDash),
    'Resource Type': columns.field('resource_type', columns.OrDash),
}


class List(listing.Lister):
    """List pools: groups of equal devices of one host, counted."""

    query_options = QUERY_OPTIONS
    marker = 'ID'
    short_columns = _SHORT
    long_columns = _LONG

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return pools."""
        return self.service.pci_pools(**query)
