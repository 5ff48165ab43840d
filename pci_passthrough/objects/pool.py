# SPDX-License-Identifier: Apache-2.0
"""Pools: the devices of one host that are equal for requests, counted."""

import dataclasses

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields

#: The device fields that a PCI flavor can match, beside extra info.
POOL_FIELDS = (
    'vendor_id',
    'product_id',
    'subsystem_vendor_id',
    'subsystem_id',
    'pci_class',
    'dev_type',
    'driver',
    'numa_node',
    'vgpu_type',
    'resource_type',
)


@dataclasses.dataclass(frozen=True, slots=True)
class PoolKey:
    """The properties and extra info that a request can match.

    Immutable and shared between hosts; code that runs often passes its
    integer id only. ``extra_info`` is sorted by key, so that equal keys
    compare equal.
    """

    vendor_id: str | None
    product_id: str | None
    subsystem_vendor_id: str | None
    subsystem_id: str | None
    pci_class: str | None
    dev_type: str | None
    driver: str | None
    numa_node: int | None
    extra_info: tuple[tuple[str, str], ...]
    vgpu_type: str | None = None
    resource_type: str = fields.ResourceType.PCI

    @classmethod
    def of(cls, device: device_obj.PciDevice) -> 'PoolKey':
        """Return the key of the pool that a reported device belongs to."""
        facts = {name: device.get(name) for name in POOL_FIELDS}
        # Agents of earlier releases report no type.
        facts['resource_type'] = device.get(
            'resource_type', fields.ResourceType.PCI
        )
        tags = tuple(sorted(device.extra_info.items()))
        return cls(**facts, extra_info=tags)


@ovo_base.VersionedObjectRegistry.register
class PciDevicePool(base.PciPassthroughObject):
    """A pool of one host, with its counts."""

    # Version 1.0: Initial version
    # Version 1.1: Not used: in Nova's processes Nova has such an object
    # Version 1.2: Added vgpu_type
    # Version 1.3: Added resource_type; vendor_id, product_id, pci_class and
    #   dev_type may be None
    VERSION = '1.3'

    fields = {
        'compute_node_id': ovo_fields.IntegerField(),
        'host': ovo_fields.StringField(),
        'vendor_id': fields.HexIdField(nullable=True),
        'product_id': fields.HexIdField(nullable=True),
        'subsystem_vendor_id': fields.HexIdField(nullable=True),
        'subsystem_id': fields.HexIdField(nullable=True),
        'pci_class': fields.PciClassField(nullable=True),
        'dev_type': ovo_fields.EnumField(fields.DevType.ALL, nullable=True),
        'driver': ovo_fields.StringField(nullable=True),
        'numa_node': ovo_fields.IntegerField(nullable=True),
        'vgpu_type': ovo_fields.StringField(nullable=True),
        'resource_type': ovo_fields.StringField(),
        'extra_info': ovo_fields.DictOfStringsField(),
        #: devices that can be claimed now
        'count': ovo_fields.IntegerField(),
        #: devices of the host with these properties, in any state
        'total': ovo_fields.IntegerField(),
    }
