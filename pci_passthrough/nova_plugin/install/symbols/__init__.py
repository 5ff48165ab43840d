# SPDX-License-Identifier: Apache-2.0
"""Lists all symbols of Nova that this project relies on, by Nova's parts.

``verify`` compares each with the tested releases of Nova. The list has every
name that is imported or called, and also functions that are not called from
here but must behave as they do now. Replaced symbols come from
``replacements``.

A function stands for its parameters and its code; a class for its bases, its
attributes and the parameters of its methods.
"""

from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.nova_plugin.install.symbols import network
from pci_passthrough.nova_plugin.install.symbols import pools
from pci_passthrough.nova_plugin.install.symbols import requests
from pci_passthrough.nova_plugin.install.symbols import scheduler
from pci_passthrough.nova_plugin.install.symbols import tracker
from pci_passthrough.nova_plugin.install.symbols.symbol import Symbol
from pci_passthrough.nova_plugin.install.symbols.symbol import Use

__all__ = ['SYMBOLS', 'Symbol', 'Use']

SYMBOLS = (
    *(
        Symbol(
            replacement.module, replacement.name, Use.REPLACED, replacement.why
        )
        for replacement in replacements.REPLACEMENTS
    ),
    *requests.SYMBOLS,
    *pools.SYMBOLS,
    *scheduler.SYMBOLS,
    *tracker.SYMBOLS,
    *network.SYMBOLS,
)
