# SPDX-License-Identifier: Apache-2.0
"""Tests against real servers which they start themselves."""

# Chooses oslo.service's threading backend, before anything chooses another.
from pci_passthrough import cmd  # noqa: F401
