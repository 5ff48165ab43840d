# SPDX-License-Identifier: Apache-2.0
"""Matches pools with PCI flavors and with NICs. Pure.

``PoolIndex`` returns the ids of the pool keys that a match expression
matches, ``near_misses`` the one condition that a pool fails. ``fits`` tells
whether the devices of a pool can serve a NIC, ``unmet_by`` why they cannot.
"""

from pci_passthrough.matching.near_misses import Miss
from pci_passthrough.matching.near_misses import near_misses
from pci_passthrough.matching.nic import fits
from pci_passthrough.matching.nic import is_network_class
from pci_passthrough.matching.nic import PHYSICAL_NETWORK
from pci_passthrough.matching.nic import unmet_by
from pci_passthrough.matching.pool_index import PoolIndex

__all__ = [
    'PHYSICAL_NETWORK',
    'Miss',
    'PoolIndex',
    'fits',
    'is_network_class',
    'near_misses',
    'unmet_by',
]
