# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about pools."""

import itertools

from pci_passthrough.api.schemas import base
from pci_passthrough.objects import fields

#: The properties in which pools differ.
PROPERTIES = {
    'vendor_id': base.nullable(base.STRING),
    'product_id': base.nullable(base.STRING),
    'subsystem_vendor_id': base.nullable(base.STRING),
    'subsystem_id': base.nullable(base.STRING),
    'pci_class': base.nullable(base.STRING),
    'dev_type': base.nullable(base.choice(fields.DevType.ALL)),
    'driver': base.nullable(base.STRING),
    'numa_node': base.nullable({'type': 'integer'}),
    'vgpu_type': base.nullable(base.STRING),
    'resource_type': {
        **base.STRING,
        'description': 'pci, mdev, usb, or the name of another type.',
    },
    'extra_info': base.TAGS,
}

#: Properties that later microversions have added.
ADDED = {'1.1': ('vgpu_type',), '1.3': ('resource_type',)}

_LATER = tuple(itertools.chain(*ADDED.values()))

_POOL = {
    'host': base.STRING,
    **PROPERTIES,
    'free': base.COUNT,
    'total': base.COUNT,
}

SHOWN = base.closed(_POOL, optional=_LATER)

#: ``id`` is the pool's marker.
LISTED = base.page(
    'pci_pools',
    base.closed({'id': base.STRING, **_POOL}, optional=_LATER),
)

#: Filters of pools and of devices.
FILTERS = {
    'pci_flavor': {
        **base.WORD,
        'description': 'UUID or name of a PCI flavor: only what it matches.',
    },
    'vendor_id': base.WORD,
    'product_id': base.WORD,
    'dev_type': base.choice(fields.DevType.ALL),
    'numa_node': base.NUMA_NODE,
    'resource_type': base.WORD,
}

LIST_QUERY = {
    'host': base.WORDS,
    **FILTERS,
    'limit': base.LIMIT,
    'marker': base.WORD,
}
