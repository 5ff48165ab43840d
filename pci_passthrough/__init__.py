# SPDX-License-Identifier: Apache-2.0
"""PCI devices offered to instances by name, for OpenStack Nova."""

from importlib import metadata


def version() -> str:
    """Return the installed package's version."""
    return metadata.version('pci_passthrough')
