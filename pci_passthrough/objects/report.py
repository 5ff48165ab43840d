# SPDX-License-Identifier: Apache-2.0
"""The report of an agent about its host, and the conductor's answer."""

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

    A device that is in none of the three lists of a full report is gone.
    """

    # Version 1.0: Initial version
    VERSION = '1.0'

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
        #: on the host, but not or no longer offered
        'withdrawn': fields.ListOfPciAddressesField(),
        #: no longer on the host (partial reports)
        'gone': fields.ListOfPciAddressesField(),
    }


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
