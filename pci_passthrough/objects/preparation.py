# SPDX-License-Identifier: Apache-2.0
"""What an agent has to do with a device before an instance can have it."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class Preparation(base.PciPassthroughObject):
    """One attempt to set up or to clean a device, by its handlers."""

    # Version 1.0: Initial version
    # Version 1.1: The address may have other forms than that of PCI
    VERSION = '1.1'

    fields = {
        'address': fields.DeviceAddressField(),
        #: the agent names it in its questions and answers; each attempt has
        #: a greater one
        'fence': ovo_fields.IntegerField(),
        'step': ovo_fields.EnumField(fields.PreparationStep.ALL),
        #: names of the handlers, in their order
        'handlers': ovo_fields.ListOfStringsField(),
        'on_failure': ovo_fields.EnumField(fields.OnFailure.ALL),
        #: the number of the attempt, from 1
        'attempt': ovo_fields.IntegerField(),
    }
