# SPDX-License-Identifier: Apache-2.0
"""The database. Only this package knows SQL, and no row leaves it.

Every operation is a function that takes a ``Database``; those that write are
one transaction and may be repeated.
"""

from pci_passthrough.store.database import Database
from pci_passthrough.store.pool_keys import Catalog
from pci_passthrough.store.pools.query import PciDevicePoolList

__all__ = ['Catalog', 'Database', 'PciDevicePoolList']
