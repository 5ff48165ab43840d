# SPDX-License-Identifier: Apache-2.0
"""The hosts that the scheduler's filter refused for an instance, and why."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class SchedulingRefusal(base.PciPassthroughObject):
    """The refused hosts of one scheduling request of an instance."""

    # Version 1.0: Initial version
    # Version 1.1: Added conditions
    # Version 1.2: Added project_id, pci_flavors and passed
    VERSION = '1.2'

    fields = {
        'instance_uuid': ovo_fields.UUIDField(),
        #: the requests, as people write them
        'requests': ovo_fields.StringField(),
        #: one line, for example ``37 hosts: no free 10g``
        'summary': ovo_fields.StringField(),
        #: [reason in words, number of hosts, [some of their names]]
        'reasons': fields.PlainField(),
        #: for each of these reasons, the condition that failed: one of
        #: ``RefusalCondition``, ``other``, ``elsewhere`` or unknown to this
        #: release
        'conditions': ovo_fields.ListOfStringsField(),
        #: for each of these reasons, the name of the PCI flavor that it is
        #: about; empty if it is about none
        'pci_flavors': ovo_fields.ListOfStringsField(),
        #: the project of the instance; None if it is not known
        'project_id': ovo_fields.StringField(nullable=True),
        #: how many hosts could serve the instance; None if it is not known
        'passed': ovo_fields.IntegerField(nullable=True),
        'created_at': ovo_fields.DateTimeField(nullable=True),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Leave out the fields that an older peer does not know."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 2):
            for name in ('pci_flavors', 'project_id', 'passed'):
                primitive.pop(name, None)
        if version < (1, 1):
            primitive.pop('conditions', None)
