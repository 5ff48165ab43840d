# SPDX-License-Identifier: Apache-2.0
"""Parses what people write: pci_information, PCI flavors, requests.

Pure: takes text and parsed JSON, returns immutable objects or raises a named
exception.

===================  ========================================================
``pattern``          exact values, globs and regular expressions
``address``          PCI addresses, with globs or as Nova's dict
``pci_class``        PCI class codes and the names of base classes
``match_key``        the match keys and the syntax of their values
``operators``        operators of ``oslo_utils.specs_matcher``
``condition``        one match key and the values that it accepts
``extra_info``       the syntax of tags
``pci_information``  the compute host's list of devices to offer
``handler_command``  programs of the operator that clean devices
``handler_names``    what cleans the devices of an entry
``lint``             what is valid, but probably not what was meant
``pci_flavor``       a PCI flavor's name and match expression
``request``          how many devices of which PCI flavors
===================  ========================================================
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
