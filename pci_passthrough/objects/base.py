# SPDX-License-Identifier: Apache-2.0
"""What all versioned objects of this project share.

They are pure data: no ``save()``, no database, no remote calls. A change of
fields needs a new version and a line in the object's history; the
fingerprint test (``tests/unit/objects/test_fingerprints.py``) says so.
"""

from typing import Any
from typing import Self

from oslo_versionedobjects import base


class PciPassthroughObject(base.VersionedObject):
    """Base class: names the project on the wire, compares by value.

    Not by oslo's ``ComparableVersionedObject``: for that, objects differ if
    other fields of them are marked as changed.
    """

    OBJ_SERIAL_NAMESPACE = 'pci_passthrough_object'
    OBJ_PROJECT_NAMESPACE = 'pci_passthrough'

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._values() == other._values()

    #: Objects can change: none is a key.
    __hash__ = None  # type: ignore[assignment]

    def obj_what_changed(self) -> set[str]:
        """Return nothing: no object is ever saved.

        A list of all fields that were set would double a report's size.
        """
        return set()

    def _values(self) -> dict[str, Any]:
        return {
            field: getattr(self, field)
            for field in self.fields
            if self.obj_attr_is_set(field)
        }

    def get(self, field: str, default: Any = None) -> Any:
        """Return a field's value, or ``default`` while it is not set."""
        return getattr(self, field) if self.obj_attr_is_set(field) else default

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**self._values() | changes)


class PciPassthroughObjectSerializer(base.VersionedObjectSerializer):
    """Turns objects into JSON-able primitives and back, for RPC."""

    OBJ_BASE_CLASS = PciPassthroughObject
