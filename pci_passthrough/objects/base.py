# SPDX-License-Identifier: Apache-2.0
"""Base class and serializer of this project's versioned objects.

The objects are pure data: no ``save()``, no database, no remote calls. A
change of fields needs a new version and a line in the object's history, which
``tests/unit/objects/test_fingerprints.py`` enforces.
"""

from typing import Any
from typing import Self

from oslo_versionedobjects import base


class PciPassthroughObject(base.VersionedObject):
    """Base class: names the project on the wire, compares by value.

    oslo's ``ComparableVersionedObject`` does not fit: for it, objects differ
    if different fields are marked as changed.
    """

    OBJ_SERIAL_NAMESPACE = 'pci_passthrough_object'
    OBJ_PROJECT_NAMESPACE = 'pci_passthrough'

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._values() == other._values()

    #: Objects are mutable, so they are no keys.
    __hash__ = None  # type: ignore[assignment]

    def obj_what_changed(self) -> set[str]:
        """Return nothing: no object is ever saved.

        Otherwise a list of all fields would double the size of a report.
        """
        return set()

    def _values(self) -> dict[str, Any]:
        return {
            field: getattr(self, field)
            for field in self.fields
            if self.obj_attr_is_set(field)
        }

    def get(self, field: str, default: Any = None) -> Any:
        """Return a field's value, or ``default`` if it is not set."""
        return getattr(self, field) if self.obj_attr_is_set(field) else default

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**self._values() | changes)


class PciPassthroughObjectSerializer(base.VersionedObjectSerializer):
    """Turns objects into JSON-able primitives and back, for RPC."""

    OBJ_BASE_CLASS = PciPassthroughObject
