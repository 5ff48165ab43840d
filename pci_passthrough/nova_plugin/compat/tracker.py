# SPDX-License-Identifier: Apache-2.0
"""Nova's PCI device tracker, for ``compute.tracker`` only.

``compute.tracker`` derives the class from it that replaces it. So it must be
imported after, or by, ``nova.pci.manager``.
"""

from nova.pci.manager import PciDevTracker

__all__ = ['PciDevTracker']
