# SPDX-License-Identifier: Apache-2.0
"""What a report says and what follows from it. Pure on both sides.

The agent keeps a ``Snapshot`` and sends differences; the conductor turns a
report and what it knows into a list of ``Change``.
"""

from pci_passthrough.reporting.changes import Action
from pci_passthrough.reporting.changes import Change
from pci_passthrough.reporting.changes import changes
from pci_passthrough.reporting.snapshot import Snapshot

__all__ = ['Action', 'Change', 'Snapshot', 'changes']
