# SPDX-License-Identifier: Apache-2.0
"""The database. Only this package knows SQL, and no row leaves it.

Every operation is a function. One that asks takes a ``Reader``, one that
changes something a ``Writer``: it is one transaction, and may be repeated.
"""

from pci_passthrough.store.database import Reader
from pci_passthrough.store.database import Writer
from pci_passthrough.store.policy import Limits
from pci_passthrough.store.policy import Policy
from pci_passthrough.store.pool_catalog import Catalog
from pci_passthrough.store.pools.pool_list import PciDevicePoolList

__all__ = [
    'Catalog',
    'Limits',
    'PciDevicePoolList',
    'Policy',
    'Reader',
    'Writer',
]
