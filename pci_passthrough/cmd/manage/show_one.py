# SPDX-License-Identifier: Apache-2.0
"""The CSV format for commands that show one item."""

import argparse
from collections.abc import Sequence
from importlib import metadata
from typing import Any
from typing import TextIO

from cliff import show
from cliff.formatters import base
from cliff.formatters import commaseparated
import stevedore
from stevedore import extension

from pci_passthrough.osc.v1 import base as osc_base


class Csv(base.SingleFormatter):
    """A line of names and a line of values; cliff has it for lists only."""

    def __init__(self) -> None:
        self._lister = commaseparated.CSVLister()

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """Add ``--quote``."""
        self._lister.add_argument_group(parser)

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Print both lines."""
        self._lister.emit_list(column_names, [data], stdout, parsed_args)


class CsvFormat(show.ShowOne):
    """Adds the CSV format to a command that shows one item."""

    def _load_formatter_plugins(
        self,
    ) -> stevedore.ExtensionManager[base.SingleFormatter]:
        manager = super()._load_formatter_plugins()
        # An entry point of cliff would add the format to other programs, too.
        point = metadata.EntryPoint(
            'csv', f'{__name__}:Csv', self.formatter_namespace
        )
        manager.extensions.append(
            extension.Extension('csv', point, Csv, Csv())
        )
        return manager


class ShowOne(CsvFormat, osc_base.ShowOne):
    """A command that shows one item."""
