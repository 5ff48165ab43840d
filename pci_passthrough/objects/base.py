# SPDX-License-Identifier: Apache-2.0
"""What all versioned objects of this project share.

They are pure data: no ``save()``, no database, no remote calls. A change of
fields needs a new version and a line in the object's history; the
fingerprint test (``tests/unit/objects/test_fingerprints.py``) says so.
"""

from typing import Any, Self

from oslo_versionedobjects import base


class PciPassthroughObject(
    base.VersionedObject, base.ComparableVersionedObject
):
    """Base class: names the project on the wire, compares by value."""

    OBJ_SERIAL_NAMESPACE = 'pci_passthrough_object'
    OBJ_PROJECT_NAMESPACE = 'pci_passthrough'

    def get(self, field: str, default: Any = None) -> Any:
        """Return a field's value, or ``default`` while it is not set."""
        return getattr(self, field) if self.obj_attr_is_set(field) else default

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        copy = self.obj_clone()
        for field, value in changes.items():
            setattr(copy, field, value)
        copy.obj_reset_changes()
        return copy


class PciPassthroughObjectSerializer(base.VersionedObjectSerializer):
    """Turns objects into JSON-able primitives and back, for RPC."""

    OBJ_BASE_CLASS = PciPassthroughObject
