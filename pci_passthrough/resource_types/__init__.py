# SPDX-License-Identifier: Apache-2.0
"""Resource types: devices of a host that are no PCI functions.

A resource type finds its devices on a host, and says how libvirt gives one to
a guest. All else, from pci_information to the claim, treats its devices as it
treats PCI functions. Other packages can bring types of their own: a subclass
of ``ResourceType`` as an entry point of the namespace
``pci_passthrough.resource_types``.
"""

from pci_passthrough.resource_types.interface import Found
from pci_passthrough.resource_types.interface import Host
from pci_passthrough.resource_types.interface import NotThereYet
from pci_passthrough.resource_types.interface import ResourceType
from pci_passthrough.resource_types.interface import ResourceTypeError
from pci_passthrough.resource_types.registry import load

__all__ = (
    'Found',
    'Host',
    'NotThereYet',
    'ResourceType',
    'ResourceTypeError',
    'load',
)
