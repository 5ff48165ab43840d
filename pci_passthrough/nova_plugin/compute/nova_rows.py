# SPDX-License-Identifier: Apache-2.0
"""Moves rows out of Nova's PciDevTracker and into it.

Nova's lists are changed as if its tracker had read the rows like that from
the database.
"""

from collections.abc import Iterable
from typing import Any

from pci_passthrough.nova_plugin.compat import pci


def set_rows(tracker: Any, rows: Iterable[Any]) -> None:
    """Set the native rows of Nova's tracker."""
    tracker.pci_devs.objects = list(rows)
    tracker._build_device_tree(tracker.pci_devs)


def take(tracker: Any, address: str) -> Any:
    """Take the row of a held device out of Nova's tracker, and return it."""
    (taken,) = [row for row in tracker.pci_devs if row.address == address]
    set_rows(tracker, [row for row in tracker.pci_devs if row is not taken])
    for mapping in (tracker.claims, tracker.allocations):
        drop(mapping, taken.instance_uuid, taken)
    tracker.stale.pop(address, None)
    tracker.to_be_removed_when_freed.pop(address, None)
    return taken


def give(tracker: Any, row: Any) -> None:
    """Add the row of a held device to Nova's tracker."""
    allocated = row.status == pci.PciDeviceStatus.ALLOCATED
    mapping = tracker.allocations if allocated else tracker.claims
    mapping[row.instance_uuid].append(row)
    set_rows(tracker, [*tracker.pci_devs, row])
    # A PF must not be given away while an instance has one of its VFs, nor
    # the other way round.
    tracker.stats._handle_device_dependents(row)
    for related in [row.parent_device, *row.child_devices]:
        if related is not None and related.is_available():
            related.status = pci.PciDeviceStatus.UNAVAILABLE


def drop(mapping: dict[str, list[Any]], instance_uuid: str, row: Any) -> None:
    """Drop a row from a mapping of instance UUIDs to rows."""
    # By identity: two of Nova's rows are equal if all their fields are.
    rows = [kept for kept in mapping.get(instance_uuid, ()) if kept is not row]
    if rows:
        mapping[instance_uuid] = rows
    else:
        mapping.pop(instance_uuid, None)
