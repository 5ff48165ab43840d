# SPDX-License-Identifier: Apache-2.0
"""Rows that leave Nova's own tracker, or come to it.

Its lists are changed as if it had found them so in the database.
"""

from collections.abc import Iterable
from typing import Any

from pci_passthrough.nova_plugin.compat import pci


def set_rows(tracker: Any, rows: Iterable[Any]) -> None:
    """Set which rows are Nova's own."""
    tracker.pci_devs.objects = list(rows)
    tracker._build_device_tree(tracker.pci_devs)


def take(tracker: Any, address: str) -> Any:
    """Take a row, of a device that an instance has, from Nova's own."""
    (row,) = [one for one in tracker.pci_devs if one.address == address]
    set_rows(tracker, [one for one in tracker.pci_devs if one is not row])
    for mapping in (tracker.claims, tracker.allocations):
        drop(mapping, row.instance_uuid, row)
    tracker.stale.pop(address, None)
    tracker.to_be_removed_when_freed.pop(address, None)
    return row


def give(tracker: Any, row: Any) -> None:
    """Add a row, of a device that an instance has, to Nova's own."""
    allocated = row.status == pci.PciDeviceStatus.ALLOCATED
    mapping = tracker.allocations if allocated else tracker.claims
    mapping[row.instance_uuid].append(row)
    set_rows(tracker, [*tracker.pci_devs, row])
    # A PF must not be given away while an instance has one of its VFs, nor
    # the other way round.
    tracker.stats._handle_device_dependents(row)
    for kin in [row.parent_device, *row.child_devices]:
        if kin is not None and kin.is_available():
            kin.status = pci.PciDeviceStatus.UNAVAILABLE


def drop(mapping: dict[str, list[Any]], instance_uuid: str, row: Any) -> None:
    """Drop a row from an instance's; an instance without rows goes, too."""
    # By identity: two of Nova's rows are equal if all they contain is.
    rows = [one for one in mapping.get(instance_uuid, ()) if one is not row]
    if rows:
        mapping[instance_uuid] = rows
    else:
        mapping.pop(instance_uuid, None)
