# SPDX-License-Identifier: Apache-2.0
"""The free devices of candidate hosts, as sent over RPC."""

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
    VERSION = '1.0'

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
    }
