# SPDX-License-Identifier: Apache-2.0
"""Compiles reports at the agent, and evaluates them at the conductor. Pure.

The agent keeps a ``Snapshot`` and reports differences. The conductor compares
a report with the known devices, which gives a list of ``Change``.

==================  =======================================================
``snapshot``        the devices of a host at one time; reports of them
``sightings``       what a report says about the hardware at each address
``hardware_moves``  held devices whose hardware is at another address now
``changes``         the consequences of a report for each known device
``preparation``     what becomes of a device between two instances
``withholding``     free devices that nobody gets while one is in conflict
==================  =======================================================
"""

from pci_passthrough.reporting.changes import Action
from pci_passthrough.reporting.changes import Change
from pci_passthrough.reporting.changes import changes
from pci_passthrough.reporting.changes import must_be_kept
from pci_passthrough.reporting.snapshot import Snapshot

__all__ = ['Action', 'Change', 'Snapshot', 'changes', 'must_be_kept']
