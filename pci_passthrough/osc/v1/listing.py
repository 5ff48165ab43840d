# SPDX-License-Identifier: Apache-2.0
"""Base class of the commands that list the items of a noun."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
import itertools
from typing import Any
from typing import ClassVar

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options
from pci_passthrough.sdk import base as sdk_base

#: The service refuses more items per page.
_MOST_ON_A_PAGE = 1000


class Lister(base.Lister):
    """A list that can be filtered and paged.

    :cvar query_options: the options that become parameters of the query.
    :cvar marker: the field that identifies an item for ``--marker``.
    :cvar short_columns: the columns without ``--long``.
    :cvar long_columns: the columns with ``--long``; None means that there is
        no such option.
    """

    query_options: ClassVar[options.QueryOptions]
    marker: ClassVar[str]
    short_columns: ClassVar[columns.Columns]
    long_columns: ClassVar[columns.Columns | None] = None

    def items(self, query: sdk_base.Query) -> Iterable[sdk_base.Resource]:
        """Return the items that a query selects, of all pages."""
        raise NotImplementedError

    def query(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Return the query that the user's options describe."""
        return options.query(parsed_args, self.query_options)

    def wanted(
        self, parsed_args: argparse.Namespace
    ) -> Iterator[dict[str, Any]]:
        """Yield the fields of the items that the user wants to see."""
        query, limit = self.query(parsed_args), parsed_args.limit
        if limit is not None:
            query['limit'] = min(limit, _MOST_ON_A_PAGE)
        for item in itertools.islice(self.items(query), limit):
            yield item.fields()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options of the query, and those for columns and pages."""
        parser = super().get_parser(prog_name)
        options.add_query_options(parser, self.query_options)
        if self.long_columns is not None:
            parser.add_argument(
                '--long', action='store_true', help='show more columns'
            )
        options.add_paging(parser, self.marker)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        shown = self.short_columns
        if self.long_columns is not None and parsed_args.long:
            shown = self.long_columns
        return columns.table(shown, self.wanted(parsed_args))
