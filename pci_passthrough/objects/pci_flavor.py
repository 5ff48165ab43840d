# SPDX-License-Identifier: Apache-2.0
"""The PCI flavor: a name for devices that users may request."""

from typing import Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough.objects import base
from pci_passthrough.objects import fields


@ovo_base.VersionedObjectRegistry.register
class PciFlavor(base.PciPassthroughObject):
    """A named match expression over device properties and extra info."""

    # Version 1.0: Initial version
    # Version 1.1: Added origin, aggregate_metadata
    VERSION = '1.1'

    fields = {
        'uuid': ovo_fields.UUIDField(),
        'name': ovo_fields.StringField(),
        'description': ovo_fields.StringField(nullable=True),
        'match': fields.MatchExpressionField(),
        #: of NICs that request it; None means ``direct``
        'vnic_type': ovo_fields.EnumField(fields.VnicType.ALL, nullable=True),
        #: None means the instance's or, if it has none, ``legacy``
        'numa_policy': ovo_fields.EnumField(
            fields.NumaPolicy.ALL, nullable=True
        ),
        'is_public': ovo_fields.BooleanField(),
        #: the owning project; None means the operator
        'project_id': ovo_fields.StringField(nullable=True),
        #: further projects that may use it while it is not public
        'access': ovo_fields.ListOfStringsField(),
        'state': ovo_fields.EnumField(fields.PciFlavorState.ALL),
        #: None means that a person made it; not set by a conductor of an
        #: earlier release
        'origin': ovo_fields.EnumField(
            fields.PciFlavorOrigin.ALL, nullable=True
        ),
        #: conditions on the metadata of Nova's host aggregates; None means
        #: any host, and so does a field that is not set
        'aggregate_metadata': fields.PlainField(nullable=True),
        #: increases with each change; guards against lost updates
        'generation': ovo_fields.IntegerField(),
        'created_at': ovo_fields.DateTimeField(nullable=True),
        'updated_at': ovo_fields.DateTimeField(nullable=True),
    }

    @property
    def is_unused(self) -> bool:
        """Whether it is built in, and nobody has switched it on."""
        return (self.get('origin'), self.state) == (
            fields.PciFlavorOrigin.BUILT_IN,
            fields.PciFlavorState.DISABLED,
        )

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Remove the fields that an older peer does not know."""
        super().obj_make_compatible(primitive, target_version)
        version = versionutils.convert_version_to_tuple(target_version)
        if version < (1, 1):
            primitive.pop('origin', None)
            primitive.pop('aggregate_metadata', None)

    def visible_to(self, project_id: str | None) -> bool:
        """Whether a project may use it; None means the operator."""
        return (
            project_id is None
            or self.is_public
            or project_id == self.project_id
            or project_id in self.access
        )
