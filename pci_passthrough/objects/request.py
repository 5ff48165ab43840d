# SPDX-License-Identifier: Apache-2.0
"""Requests for devices, and reasons of refusals."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import exception as ovo_exception
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class RequestedNic(base.PciPassthroughObject):
    """The conditions of a NIC for its device, beside the PCI flavor."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        #: None means the PCI flavor's
        'vnic_type': ovo_fields.EnumField(fields.VnicType.ALL, nullable=True),
        #: those of the segments of the NIC's network; the device must be on
        #: one of them. Empty for an overlay network, whose devices must be on
        #: none
        'physical_networks': ovo_fields.ListOfStringsField(),
    }


@ovo_base.VersionedObjectRegistry.register
class PciRequest(base.PciPassthroughObject):
    """A number of devices of a PCI flavor, or of one of several.

    The PCI flavors are in order of preference, and one of them serves the
    whole request: two devices of ``bigGPU|midGPU`` are never one of each.
    """

    # Version 1.0: Initial version
    # Version 1.1: Added nic
    VERSION = '1.1'

    fields = {
        #: unique within the instance; identifies a repeated claim
        'request_id': ovo_fields.StringField(),
        'count': ovo_fields.IntegerField(),
        #: names or UUIDs of PCI flavors
        'pci_flavors': ovo_fields.ListOfStringsField(),
        #: overrides the PCI flavor's; None means the PCI flavor's
        'numa_policy': ovo_fields.EnumField(
            fields.NumaPolicy.ALL, nullable=True
        ),
        #: the NIC that gets the device; None or not set means no NIC
        'nic': ovo_fields.ObjectField('RequestedNic', nullable=True),
    }

    def __str__(self) -> str:
        return f'{"|".join(self.pci_flavors)}:{self.count}'

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Remove the field ``nic`` for an older peer, if it is None.

        :raises: ObjectActionError if there is a NIC: a peer that does not
            know its conditions would serve it with any device.
        """
        version = versionutils.convert_version_to_tuple(target_version)
        if version >= (1, 1):
            super().obj_make_compatible(primitive, target_version)
        elif primitive.pop('nic', None) is not None:
            raise ovo_exception.ObjectActionError(
                action='obj_make_compatible',
                reason=f'no NIC in PciRequest {target_version}',
            )


@ovo_base.VersionedObjectRegistry.register
class NumaAffinity(base.PciPassthroughObject):
    """The host's NUMA nodes that an instance uses or will use."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        #: host NUMA nodes of the instance's cells
        'nodes': ovo_fields.ListOfIntegersField(),
        #: all host NUMA nodes on the sockets of those nodes
        'socket_nodes': ovo_fields.ListOfIntegersField(),
    }


@ovo_base.VersionedObjectRegistry.register
class RefusalReason(base.PciPassthroughObject):
    """The condition that failed for a request on a host."""

    # Version 1.0: Initial version
    # Version 1.1: conditions none_free, host_unknown, tracker_down
    # Version 1.2: condition refused
    # Version 1.3: conditions quota_exceeded, aggregate
    VERSION = '1.3'

    fields = {
        'host': ovo_fields.StringField(),
        'request_id': ovo_fields.StringField(),
        #: name of the alternative that was tried
        'pci_flavor': ovo_fields.StringField(),
        'condition': ovo_fields.EnumField(fields.RefusalCondition.ALL),
        'needed': ovo_fields.IntegerField(),
        #: number of devices left after this condition
        'left': ovo_fields.IntegerField(),
        'detail': ovo_fields.StringField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Replace a condition that an older peer does not know."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        conditions = fields.RefusalCondition
        known = conditions.ALL
        if version < (1, 3):
            known = conditions.OF_1_2
        if version < (1, 2):
            known = conditions.OF_1_1
        if version < (1, 1):
            known = conditions.OF_1_0
        condition = primitive.get('condition')
        if condition not in known:
            primitive['condition'] = {
                conditions.AGGREGATE: conditions.NO_MATCH,
                conditions.NONE_FREE: conditions.ALL_HELD,
                conditions.REFUSED: conditions.ALL_HELD,
                conditions.QUOTA_EXCEEDED: conditions.ALL_HELD,
            }.get(str(condition), conditions.HOST_DOWN)
