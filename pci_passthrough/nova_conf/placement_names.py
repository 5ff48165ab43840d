# SPDX-License-Identifier: Apache-2.0
"""Normalizes names of resource classes and traits as Nova does. Pure.

Source: ``nova.compute.pci_placement_translator``. Two names that Nova
normalizes to the same name become equal here, too.
"""

import ast
from collections.abc import Iterable

import os_resource_classes
import os_traits


def resource_class(name: str) -> str:
    """Return the name of a resource class in Placement."""
    name = name.upper()
    if name in os_resource_classes.STANDARDS or os_resource_classes.is_custom(
        name
    ):
        return name
    return str(os_resource_classes.normalize_name(name))


def traits(text: str) -> list[str]:
    """Return the sorted names in Placement of comma-separated traits.

    As in Nova, a blank after a comma belongs to the name.
    """
    if not text:
        return []
    standard, others = os_traits.check_traits(text.split(','))
    return sorted(standard | {_custom(name) for name in others})


def list_tag(names: Iterable[str]) -> str:
    """Return names as a tag's value, a list that ``<all-in>`` can test."""
    return str(list(names))


def from_list_tag(value: str) -> str | None:
    """Return a tag's list as comma-separated names, None if not a list."""
    try:
        names = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name and ',' not in name for name in names
    ):
        return None
    return ','.join(names)


def _custom(name: str) -> str:
    upper = name.upper()
    if os_traits.is_custom(upper):
        return upper
    return str(os_traits.normalize_name(upper))
