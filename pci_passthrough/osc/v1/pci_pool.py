# SPDX-License-Identifier: Apache-2.0
"""``openstack pci pool …``."""

import argparse
from collections.abc import Mapping
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options

#: Of devices, too.
FILTERS: Mapping[str, Mapping[str, Any]] = {
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
}

_SHORT: columns.Layout = {
    'Host': ('host', columns.as_is),
    'Type': ('dev_type', columns.as_is),
    'Vendor ID': ('vendor_id', columns.as_is),
    'Product ID': ('product_id', columns.as_is),
    'NUMA Node': ('numa_node', columns.OrDash),
    'Extra Info': ('extra_info', columns.Tags),
    'Free': ('free', columns.as_is),
    'Total': ('total', columns.as_is),
}

_LONG: columns.Layout = {
    'ID': ('id', columns.as_is),
    **_SHORT,
    'Subsystem Vendor ID': ('subsystem_vendor_id', columns.OrDash),
    'Subsystem ID': ('subsystem_id', columns.OrDash),
    'Class': ('pci_class', columns.OrDash),
    'Driver': ('driver', columns.OrDash),
}


class List(base.Lister):
    """List pools: devices of a host that are alike, counted."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take filters."""
        parser = super().get_parser(prog_name)
        options.add_filters(parser, FILTERS)
        options.add_long(parser)
        options.add_paging(parser, 'ID')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        found = self.service.pci_pools(
            options.query(parsed_args, FILTERS), parsed_args.limit
        )
        return columns.table(_LONG if parsed_args.long else _SHORT, found)
