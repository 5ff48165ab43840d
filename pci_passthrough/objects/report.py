# SPDX-License-Identifier: Apache-2.0
"""The report of an agent about its host, and the conductor's answer."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


class Wanted:
    """The next message that the conductor wants from an agent."""

    NOTHING = 'nothing'
    FULL_REPORT = 'full-report'
    ALL = (NOTHING, FULL_REPORT)


@ovo_base.VersionedObjectRegistry.register
class HostReport(base.PciPassthroughObject):
    """The devices that a host offers: all of them, or the changes.

    A device that is in none of the lists of a full report is gone.
    """

    # Version 1.0: Initial version
    # Version 1.1: Added refused and withdrawn_hardware
    VERSION = '1.1'

    fields = {
        'host': ovo_fields.StringField(),
        'agent_version': ovo_fields.StringField(),
        'is_full': ovo_fields.BooleanField(),
        #: the host's generation to which the changes apply
        'base_generation': ovo_fields.IntegerField(),
        #: increases with each report of the host, so that a message that
        #: arrives after a newer one can be ignored
        'sequence': ovo_fields.IntegerField(),
        #: of the host's snapshot after this report
        'digest': ovo_fields.StringField(),
        #: new and changed devices, ``REPORTED_FIELDS`` only
        'offered': ovo_fields.ListOfObjectsField('PciDevice'),
        #: new and changed devices that an entry of pci_information matches
        #: and that the host refuses, with their ``refusal``
        'refused': ovo_fields.ListOfObjectsField('PciDevice'),
        #: on the host, but not or no longer offered or refused
        'withdrawn': fields.ListOfPciAddressesField(),
        #: what the withdrawn devices are: address to the text of an
        #: ``objects.Identity``
        'withdrawn_hardware': ovo_fields.DictOfStringsField(),
        #: no longer on the host (partial reports)
        'gone': fields.ListOfPciAddressesField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Turn refused devices into withdrawn ones for an older peer.

        Without a digest, the next heartbeat asks for all devices again: a
        conductor may know then what this form leaves out.
        """
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 1):
            primitive['digest'] = ''
            primitive.pop('withdrawn_hardware', None)
            if primitive.pop('refused', None):
                refused = {str(device.address) for device in self.refused}
                primitive['withdrawn'] = sorted(
                    refused.union(primitive['withdrawn'])
                )


@ovo_base.VersionedObjectRegistry.register
class ReportAck(base.PciPassthroughObject):
    """The conductor's answer to a report or heartbeat."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        #: the host's generation as the conductor now has it
        'generation': ovo_fields.IntegerField(),
        #: of the last report that was applied
        'sequence': ovo_fields.IntegerField(),
        'wanted': ovo_fields.EnumField(Wanted.ALL),
    }
