# SPDX-License-Identifier: Apache-2.0
"""The database. Only this package knows SQL, and no row leaves it.

Every operation is a function. Operations that only read take a ``Reader``,
operations that write a ``Writer``. An operation that writes is one
transaction, and repeating it after a lost answer does no harm.

=======================  ==================================================
``database``             ``Reader`` and ``Writer``: connections, repetitions
``policy``               options of ``[conductor]``: timeouts, VF placement
``models``, ``schema``   tables, and the version of the schema
``hosts``                hosts, their signs of life, and their lock
``live_hosts``           the hosts that are up
``exclusion``            a physical function excludes its virtual functions
``device_states``        the state of a device, in SQL
``ledger``               the history of all devices
``audits``               turns and results of the periodic audit
``pool_keys``            the table of pool keys
``pool_catalog``         a process's copy of it, for matching
``scheduling_refusals``  refusals of Nova's scheduler
=======================  ==================================================

The rooms ``claims``, ``devices``, ``pci_flavors``, ``pools`` and ``views``
have such tables of their own.
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
