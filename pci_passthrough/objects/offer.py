# SPDX-License-Identifier: Apache-2.0
"""The free devices of candidate hosts, as sent over RPC."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class SchedulingOffer(base.PciPassthroughObject):
    """The wire form of ``claims.SupplySnapshot``, which writes and reads it.

    Ten thousand hosts must be cheap: there is no object for each host, and
    hosts with equal free devices share one supply.
    """

    # Version 1.0: Initial version
    # Version 1.1: Added proven
    # Version 1.2: Added aggregate_metadata
    VERSION = '1.2'

    fields = {
        #: [request id, count, [[PCI flavor's UUID, name, NUMA policy,
        #: [pool key id, …]], …]] for each request
        'demands': fields.PlainField(),
        #: [pool key id, {property: value, …, 'extra_info': {…}}]
        'keys': fields.PlainField(),
        #: [[pool key id, count, …], [[PF's key, [[VFs' key, count], …],
        #: members], …]] for each distinct supply
        'supplies': fields.PlainField(),
        #: host to the index of its supply in ``supplies``
        'hosts': fields.PlainField(),
        #: requested host that cannot be used at all, to the condition
        'absent': fields.PlainField(),
        #: host to the index of its supply without the devices with failed
        #: starts; hosts without such devices are left out
        'proven': fields.PlainField(),
        #: UUID of a PCI flavor to its conditions on host aggregates; PCI
        #: flavors without conditions are left out
        'aggregate_metadata': fields.PlainField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Leave out what an older peer does not know.

        One that does not know the conditions on host aggregates may choose a
        host that does not fulfil them. The claim then refuses it.
        """
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 2):
            primitive.pop('aggregate_metadata', None)
        if version < (1, 1):
            primitive.pop('proven', None)
