# SPDX-License-Identifier: Apache-2.0
"""What hosts could give an instance, as it travels."""

from oslo_versionedobjects import base as ovo_base

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class SchedulingOffer(base.PciPassthroughObject):
    """The wire form of ``claims.Offer``, which writes and reads it.

    Ten thousand hosts must be cheap: no object for each of them, and hosts
    that could give the same share one supply.
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
        #: members], …]] for each supply that differs from the others
        'supplies': fields.PlainField(),
        #: host to the number of its supply in that list
        'hosts': fields.PlainField(),
        #: host that was asked for to why it offers nothing at all
        'absent': fields.PlainField(),
    }
