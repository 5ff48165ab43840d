# SPDX-License-Identifier: Apache-2.0
"""Which pools a PCI flavor means. Pure: pool keys in, sets of ids out.

``near_misses`` says what a pool that is not meant lacks.
"""

from pci_passthrough.matching.near_misses import Miss
from pci_passthrough.matching.near_misses import near_misses
from pci_passthrough.matching.pool_index import PoolIndex

__all__ = ['Miss', 'PoolIndex', 'near_misses']
