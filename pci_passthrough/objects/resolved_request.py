# SPDX-License-Identifier: Apache-2.0
"""A request with the PCI flavors that its names refer to."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class PciAlternative(base.PciPassthroughObject):
    """One of the PCI flavors that can serve a request."""

    # Version 1.0: Initial version
    # Version 1.1: Added trusted
    VERSION = '1.1'

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
        #: whether all devices that it matches are marked as trusted; not set
        #: by a conductor of an earlier release
        'trusted': ovo_fields.BooleanField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Remove the field ``trusted`` for an older peer."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 1):
            primitive.pop('trusted', None)


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
