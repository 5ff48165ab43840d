# SPDX-License-Identifier: Apache-2.0
"""Tells whether an instance holds devices of PCI flavors, from memory.

The tracker of a nova-compute has the attachments of all instances on its
host. The answer costs no query, and no attribute of the instance is loaded.
"""

from typing import Any

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import tracker


def holds_devices(resource_tracker: Any, instance: Any) -> bool | None:
    """Whether an instance holds devices of PCI flavors on this host.

    :param resource_tracker: Nova's ``ResourceTracker``.
    :param instance: Nova's instance.
    :returns: None if nova-compute has not read its rows yet.
    """
    pci_tracker = resource_tracker.pci_tracker
    if pci_tracker is None:
        return None
    return isinstance(
        pci_tracker, tracker.PciFlavorDevTracker
    ) and pci_tracker.holds_devices(str(instance.uuid))


def rowless_of(
    resource_tracker: Any, instance: Any
) -> list[objects.PciDevice] | None:
    """Return the devices without rows that an instance holds on this host.

    :param resource_tracker: Nova's ``ResourceTracker``.
    :param instance: Nova's instance.
    :returns: None if nova-compute does not know them yet.
    """
    pci_tracker = resource_tracker.pci_tracker
    if pci_tracker is None:
        return None
    if not isinstance(pci_tracker, tracker.PciFlavorDevTracker):
        return []
    return pci_tracker.rowless_of(str(instance.uuid))
