# SPDX-License-Identifier: Apache-2.0
"""Tests, laid out like the sources that they check."""

# Chooses oslo.service's threading backend, before anything chooses another.
from pci_passthrough import cmd  # noqa: F401
