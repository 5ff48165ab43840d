# SPDX-License-Identifier: Apache-2.0
"""The report of an agent about its host, and the conductor's answer."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import device as device_obj
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
    # Version 1.2: The devices may be of other types than PCI
    VERSION = '1.2'

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
        'withdrawn': fields.ListOfDeviceAddressesField(),
        #: what the withdrawn devices are: address to the text of an
        #: ``objects.Identity``
        'withdrawn_hardware': ovo_fields.DictOfStringsField(),
        #: no longer on the host (partial reports)
        'gone': fields.ListOfDeviceAddressesField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Leave out what an older peer does not know.

        That are devices that are no PCI functions, and for the oldest peers
        refused devices, which become withdrawn ones. Without a digest, the
        next heartbeat asks for all devices again: a conductor may know then
        what this form leaves out.
        """
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 2) and not _has_only_pci_functions(self):
            _leave_out_other_types(self, primitive)
        if version < (1, 1):
            primitive['digest'] = ''
            primitive.pop('withdrawn_hardware', None)
            if primitive.pop('refused', None):
                refused = {
                    str(device.address)
                    for device in self.refused
                    if _is_pci_function(device)
                }
                primitive['withdrawn'] = sorted(
                    refused.union(primitive['withdrawn'])
                )


def _has_only_pci_functions(report: HostReport) -> bool:
    devices = [*report.get('offered', ()), *report.get('refused', ())]
    addresses = [*report.get('withdrawn', ()), *report.get('gone', ())]
    return all(map(_is_pci_function, devices)) and all(
        map(fields.is_pci_address, addresses)
    )


def _leave_out_other_types(
    report: HostReport, primitive: dict[str, Any]
) -> None:
    """Leave out what is no PCI function, in place.

    :param primitive: of the report.
    """
    primitive['digest'] = ''
    for name in ('offered', 'refused'):
        if name in primitive:
            primitive[name] = [
                item
                for item, device in zip(
                    primitive[name], report.get(name), strict=True
                )
                if _is_pci_function(device)
            ]
    for name in ('withdrawn', 'gone'):
        if name in primitive:
            primitive[name] = list(
                filter(fields.is_pci_address, primitive[name])
            )
    if 'withdrawn_hardware' in primitive:
        primitive['withdrawn_hardware'] = {
            address: text
            for address, text in primitive['withdrawn_hardware'].items()
            if fields.is_pci_address(address)
        }


def _is_pci_function(device: device_obj.PciDevice) -> bool:
    resource_type: str = device.get('resource_type', fields.ResourceType.PCI)
    return resource_type == fields.ResourceType.PCI


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
