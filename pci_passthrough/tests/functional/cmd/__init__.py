# SPDX-License-Identifier: Apache-2.0
"""Functional tests of the programs, run as operators run them."""

from pci_passthrough import cmd  # noqa: F401 - chooses how services run
