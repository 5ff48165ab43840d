# SPDX-License-Identifier: Apache-2.0
"""Compiles reports at the agent, and evaluates them at the conductor. Pure.

The agent keeps a ``Snapshot`` and reports differences. The conductor compares
a report with the known devices, which gives a list of ``Change``.
"""

from pci_passthrough.reporting.changes import Action
from pci_passthrough.reporting.changes import Change
from pci_passthrough.reporting.changes import changes
from pci_passthrough.reporting.snapshot import Snapshot

__all__ = ['Action', 'Change', 'Snapshot', 'changes']
