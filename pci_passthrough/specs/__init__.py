# SPDX-License-Identifier: Apache-2.0
"""What people write: pci_information, PCI flavors, requests.

Pure: text and parsed JSON in, immutable objects or a named error out.

==================  ======================================================
``pattern``         how a text is recognized: exactly, by glob or by regex
``address``         the forms of a PCI address
``pci_class``       names of PCI base classes
``operation``       operators of ``oslo_utils.specs_matcher``
``condition``       one match key and what its value must be
``extra_info``      the form of tags
``pci_information`` the compute host's list of what it offers
``pci_flavor``      a PCI flavor's name and match expression
``request``         how many devices of which PCI flavors
==================  ======================================================
"""

from pci_passthrough.specs.condition import Condition
from pci_passthrough.specs.pci_flavor import MatchExpression
from pci_passthrough.specs.pci_flavor import validate_name
from pci_passthrough.specs.pci_information import Entry
from pci_passthrough.specs.pci_information import PciInformation

__all__ = [
    'Condition',
    'Entry',
    'MatchExpression',
    'PciInformation',
    'validate_name',
]
