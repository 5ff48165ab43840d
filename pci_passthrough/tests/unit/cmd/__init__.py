# SPDX-License-Identifier: Apache-2.0
"""Parsing and wording of the programs."""

from pci_passthrough import cmd  # noqa: F401 - chooses how services run
