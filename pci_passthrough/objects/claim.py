# SPDX-License-Identifier: Apache-2.0
"""The answer to a claim, as sent over RPC."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base


@ovo_base.VersionedObjectRegistry.register
class ClaimResult(base.PciPassthroughObject):
    """The claimed devices, or the reasons why the claim was refused."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'devices': ovo_fields.ListOfObjectsField('PciDevice'),
        #: one line that sums up the reasons; None means not refused
        'refusal': ovo_fields.StringField(nullable=True),
        'reasons': ovo_fields.ListOfObjectsField('RefusalReason'),
    }
