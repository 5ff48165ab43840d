# SPDX-License-Identifier: Apache-2.0
"""Requests and answers about pools."""

from pci_passthrough.api.schemas import base
from pci_passthrough.objects import fields

#: The properties in which pools differ.
PROPERTIES = {
    'vendor_id': base.STRING,
    'product_id': base.STRING,
    'subsystem_vendor_id': base.nullable(base.STRING),
    'subsystem_id': base.nullable(base.STRING),
    'pci_class': base.STRING,
    'dev_type': base.choice(fields.DevType.ALL),
    'driver': base.nullable(base.STRING),
    'numa_node': base.nullable({'type': 'integer'}),
    'vgpu_type': base.nullable(base.STRING),
    'extra_info': base.TAGS,
}

#: Properties that microversion 1.1 has added.
SINCE_1_1 = ('vgpu_type',)

_POOL = {
    'host': base.STRING,
    **PROPERTIES,
    'free': base.COUNT,
    'total': base.COUNT,
}

SHOWN = base.closed(_POOL, optional=SINCE_1_1)

#: ``id`` is the pool's marker.
LISTED = base.page(
    'pci_pools',
    base.closed({'id': base.STRING, **_POOL}, optional=SINCE_1_1),
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
}

LIST_QUERY = {
    'host': base.WORDS,
    **FILTERS,
    'limit': base.LIMIT,
    'marker': base.WORD,
}
