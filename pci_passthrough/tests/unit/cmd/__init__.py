# SPDX-License-Identifier: Apache-2.0
"""Unit tests of the programs: error messages, formatters."""

from pci_passthrough import cmd  # noqa: F401 - chooses how services run
