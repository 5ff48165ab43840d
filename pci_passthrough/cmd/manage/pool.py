# SPDX-License-Identifier: Apache-2.0
"""``pool …``: what is free, and where."""

import argparse
from collections.abc import Callable
from typing import Any

from cliff import lister

from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import words

_SHORT: dict[str, Callable[[objects.PciDevicePool], Any]] = {
    'Host': lambda pool: pool.host,
    'Vendor:Product': lambda pool: f'{pool.vendor_id}:{pool.product_id}',
    'Type': lambda pool: pool.dev_type,
    'NUMA Node': lambda pool: words.OrDash(pool.numa_node),
    'Extra Info': lambda pool: words.Tags(pool.extra_info),
    'Free': lambda pool: pool.count,
    'Total': lambda pool: pool.total,
}

_LONG: dict[str, Callable[[objects.PciDevicePool], Any]] = {
    **_SHORT,
    'Subsystem Vendor': lambda pool: words.OrDash(pool.subsystem_vendor_id),
    'Subsystem': lambda pool: words.OrDash(pool.subsystem_id),
    'Class': lambda pool: pool.pci_class,
    'Driver': lambda pool: words.OrDash(pool.driver),
}


class List(lister.Lister):
    """List the pools of hosts that are up: devices which are alike."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--host', action='append', help='only this host; may be repeated'
        )
        parser.add_argument(
            '--long',
            action='store_true',
            help='show all properties which tell pools apart',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and rows."""
        app = context.of(self)
        pools = store.PciDevicePoolList.get_by_hosts(
            app.database,
            app.policy.limits,
            parsed_args.host,
        )
        return words.table(_LONG if parsed_args.long else _SHORT, pools)
