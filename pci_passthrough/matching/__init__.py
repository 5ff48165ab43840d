# SPDX-License-Identifier: Apache-2.0
"""Matches pool keys with PCI flavors and with NICs. Pure.

``PoolIndex`` returns the ids of the pool keys that a match expression
matches; ``near_misses`` returns pool keys' only failed conditions.
``serves_nic`` decides whether the devices of a pool can serve a NIC;
``unmet_nic_conditions`` returns the reasons why they cannot. ``groups`` finds
the groups that hosts give their devices.
"""

from pci_passthrough.matching.groups import Group
from pci_passthrough.matching.near_misses import Miss
from pci_passthrough.matching.near_misses import near_misses
from pci_passthrough.matching.nic import is_network_class
from pci_passthrough.matching.nic import PHYSICAL_NETWORK
from pci_passthrough.matching.nic import serves_nic
from pci_passthrough.matching.nic import unmet_nic_conditions
from pci_passthrough.matching.pool_index import PoolIndex

__all__ = [
    'PHYSICAL_NETWORK',
    'Group',
    'Miss',
    'PoolIndex',
    'is_network_class',
    'near_misses',
    'serves_nic',
    'unmet_nic_conditions',
]
