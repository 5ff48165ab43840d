# SPDX-License-Identifier: Apache-2.0
"""Reads attributes of Nova's objects without loading them.

Nova's functions that this project replaces also serve instances, ports and
requests without PCI flavors. Many attributes of Nova's objects are read from
its database when they are first used, and raise an error in an object without
a context. So a replacement first decides by attributes that are loaded, and
by what its process has in memory, whether PCI flavors are concerned. If they
are not, it calls Nova's function, and does nothing else.
"""

from typing import Any


def attribute(obj: Any, name: str) -> Any:
    """Return an attribute of one of Nova's objects, or of another object.

    :param obj: may be None.
    :returns: None for an attribute that is not loaded.
    """
    is_set = getattr(obj, 'obj_attr_is_set', None)
    if is_set is not None and not is_set(name):
        return None
    return getattr(obj, name, None)


def network_info(instance: Any) -> list[Any]:
    """Return the loaded ``VIF`` objects of an instance."""
    cached = attribute(attribute(instance, 'info_cache'), 'network_info')
    return list(cached or ())
