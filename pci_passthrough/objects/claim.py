# SPDX-License-Identifier: Apache-2.0
"""The answer to a claim, as it travels."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base


@ovo_base.VersionedObjectRegistry.register
class ClaimResult(base.PciPassthroughObject):
    """Either the claimed devices, or why there are none."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'devices': ovo_fields.ListOfObjectsField('PciDevice'),
        #: None: not refused
        'refusal': ovo_fields.StringField(nullable=True),
        'reasons': ovo_fields.ListOfObjectsField('RefusalReason'),
    }
