# SPDX-License-Identifier: Apache-2.0
"""The answer to a question about the limits of a project."""

from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base


@ovo_base.VersionedObjectRegistry.register
class QuotaExcess(base.PciPassthroughObject):
    """A PCI flavor of which more is wanted than a limit has room for."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        #: name of the PCI flavor
        'pci_flavor': ovo_fields.StringField(),
        #: how many devices the project may hold
        'limit': ovo_fields.IntegerField(),
        #: how many devices it holds
        'used': ovo_fields.IntegerField(),
        #: how many devices are wanted
        'wanted': ovo_fields.IntegerField(),
    }

    def __str__(self) -> str:
        return (
            f'PCI flavor {self.pci_flavor}: {self.wanted} wanted, '
            f'{self.used} of {self.limit} used'
        )


@ovo_base.VersionedObjectRegistry.register
class QuotaAnswer(base.PciPassthroughObject):
    """The number of servers for which the limits of a project have room."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        #: at most as many as are wanted
        'servers': ovo_fields.IntegerField(),
        #: empty if there is room for all
        'excesses': ovo_fields.ListOfObjectsField('QuotaExcess'),
    }
