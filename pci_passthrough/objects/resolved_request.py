# SPDX-License-Identifier: Apache-2.0
"""A request whose PCI flavors were looked up."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class PciAlternative(base.PciPassthroughObject):
    """One of the PCI flavors that can serve a request."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'uuid': ovo_fields.UUIDField(),
        'name': ovo_fields.StringField(),
        #: the PCI flavor's own; the request's wins over it
        'numa_policy': ovo_fields.EnumField(
            fields.NumaPolicy.ALL, nullable=True
        ),
        #: what its NIC gets, if it is for one, and never None then; else the
        #: PCI flavor's own
        'vnic_type': ovo_fields.EnumField(fields.VnicType.ALL, nullable=True),
        #: whether all devices that it matches are said to be able to move
        #: with a running guest
        'live_migratable': ovo_fields.BooleanField(),
    }


@ovo_base.VersionedObjectRegistry.register
class ResolvedRequest(base.PciPassthroughObject):
    """What a request's names stand for now."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'request_id': ovo_fields.StringField(),
        'count': ovo_fields.IntegerField(),
        #: in order of preference; at least one
        'alternatives': ovo_fields.ListOfObjectsField('PciAlternative'),
    }
