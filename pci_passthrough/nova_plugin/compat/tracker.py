# SPDX-License-Identifier: Apache-2.0
"""Nova's PCI device tracker; for the one module that derives from it.

That module is put in the place of this class, so whoever imports this must
be imported after, or by, ``nova.pci.manager``.
"""

from nova.pci.manager import PciDevTracker

__all__ = ['PciDevTracker']
