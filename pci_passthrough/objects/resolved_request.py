# SPDX-License-Identifier: Apache-2.0
"""A request with the PCI flavors that its names refer to."""

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
        #: the PCI flavor's; the request's overrides it
        'numa_policy': ovo_fields.EnumField(
            fields.NumaPolicy.ALL, nullable=True
        ),
        #: for a request for a NIC, the vnic_type that the NIC gets, never
        #: None; for other requests, the PCI flavor's
        'vnic_type': ovo_fields.EnumField(fields.VnicType.ALL, nullable=True),
        #: whether all devices that it matches are marked as able to be
        #: migrated with a running guest
        'live_migratable': ovo_fields.BooleanField(),
    }


@ovo_base.VersionedObjectRegistry.register
class ResolvedRequest(base.PciPassthroughObject):
    """A request with its alternatives, resolved at the time of the call."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'request_id': ovo_fields.StringField(),
        'count': ovo_fields.IntegerField(),
        #: in order of preference; at least one
        'alternatives': ovo_fields.ListOfObjectsField('PciAlternative'),
    }
