# SPDX-License-Identifier: Apache-2.0
"""Why the scheduler found no host for an instance, or passed over some."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class SchedulingRefusal(base.PciPassthroughObject):
    """What one scheduling request of an instance came to."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'instance_uuid': ovo_fields.UUIDField(),
        #: the requests, as people write them
        'requests': ovo_fields.StringField(),
        #: one line, for example ``37 hosts: no free 10g``
        'summary': ovo_fields.StringField(),
        #: [what is wrong, number of hosts, [some of their names]]
        'reasons': fields.PlainField(),
        'created_at': ovo_fields.DateTimeField(nullable=True),
    }
