# SPDX-License-Identifier: Apache-2.0
"""Tests which need no server and no privilege."""

# Chooses oslo.service's threading backend, before anything chooses another.
from pci_passthrough import cmd  # noqa: F401
