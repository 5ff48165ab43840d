# SPDX-License-Identifier: Apache-2.0
"""Which pools a PCI flavor means. Pure: pool keys in, sets of ids out."""

from pci_passthrough.matching.pool_index import PoolIndex

__all__ = ['PoolIndex']
