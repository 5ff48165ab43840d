# SPDX-License-Identifier: Apache-2.0
"""The conductor's answer to a host's resource tracker."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base


@ovo_base.VersionedObjectRegistry.register
class TrackerAck(base.PciPassthroughObject):
    """The acknowledgement of a tracker, with its instances' devices."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        #: of the host's last report; None means that the host's agent has
        #: never reported, and that the tracker was not recorded
        'generation': ovo_fields.IntegerField(nullable=True),
        #: the host's devices that are claimed or allocated
        'held': ovo_fields.ListOfObjectsField('PciDevice'),
    }
