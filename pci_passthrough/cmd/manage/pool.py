# SPDX-License-Identifier: Apache-2.0
"""``pool …``: what is free, and where."""

import argparse
from collections.abc import Iterator
from typing import Any

from cliff import lister

from pci_passthrough import store
from pci_passthrough.cmd.manage import words


class List(lister.Lister):
    """List the pools of hosts that are up: devices which are alike."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--host', action='append', help='only this host; may be repeated'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return columns and rows."""
        pools = store.PciDevicePoolList.get_by_hosts(
            self.app.database,
            self.app.catalog,
            self.app.policy.host_timeout,
            parsed_args.host,
        )
        return (
            (
                'Host',
                'Vendor:Product',
                'Type',
                'NUMA Node',
                'Extra Info',
                'Free',
                'Total',
            ),
            (
                (
                    pool.host,
                    f'{pool.vendor_id}:{pool.product_id}',
                    pool.dev_type,
                    words.OrDash(pool.numa_node),
                    words.Tags(pool.extra_info),
                    pool.count,
                    pool.total,
                )
                for pool in pools
            ),
        )
