# SPDX-License-Identifier: Apache-2.0
"""``claim`` and ``free``: giving devices away by hand."""

import argparse
from collections.abc import Sequence
from typing import Any

from cliff import lister

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.cmd.manage import words
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import claims
from pci_passthrough.store import explain
from pci_passthrough.store import pci_flavors


def _rows(
    devices: Sequence[objects.PciDevice],
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    return (
        (
            'Host',
            'Address',
            'Type',
            'Vendor:Product',
            'NUMA Node',
            'State',
            'Request',
        ),
        [
            (
                device.host,
                device.address,
                device.dev_type,
                f'{device.vendor_id}:{device.product_id}',
                words.OrDash(device.numa_node),
                device.state,
                words.OrDash(device.request_id),
            )
            for device in devices
        ],
    )


class Claim(lister.Lister):
    """Claim devices for an instance, on a host that has them."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take for whom, what and where."""
        parser = super().get_parser(prog_name)
        parser.add_argument('instance', help="the instance's UUID")
        parser.add_argument(
            'request',
            help='what it needs, for example 10g:2,bigGPU|midGPU:1',
        )
        parser.add_argument(
            '--host', help='on this host (default: the first that can serve)'
        )
        parser.add_argument(
            '--numa-node',
            type=int,
            action='append',
            help='host NUMA node of the instance; may be repeated',
        )
        parser.add_argument(
            '--allocate',
            action='store_true',
            help='give the devices to the instance for good',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Claim and show the devices."""
        app = self.app
        requests = request_spec.parse(parsed_args.request)
        numa = None
        if parsed_args.numa_node:
            numa = objects.NumaAffinity(
                nodes=parsed_args.numa_node,
                socket_nodes=parsed_args.numa_node,
            )
        host = parsed_args.host or self._find_host(requests, numa)
        devices = claims.claim(
            app.database,
            app.catalog,
            app.policy,
            host,
            parsed_args.instance,
            requests,
            app.actor,
            numa,
        )
        if parsed_args.allocate:
            devices = claims.allocate(
                app.database, host, parsed_args.instance, app.actor
            )
        return _rows(devices)

    def _find_host(
        self,
        requests: Sequence[objects.PciRequest],
        numa: objects.NumaAffinity | None,
    ) -> str:
        app = self.app
        timeout = app.policy.host_timeout
        demands = pci_flavors.demands(app.database, app.catalog, requests)
        pools = store.PciDevicePoolList.get_all(
            app.database, app.catalog, timeout
        )
        able = pools.supports_requests(demands, numa)
        if able:
            return min(able)
        reasons = explain.refusals(
            app.database, app.catalog, timeout, demands, numa
        )
        if not reasons:
            raise exception.ClaimRefused(
                'no host is up: no agent has reported within the last '
                f'{timeout} seconds'
            )
        lines = [
            f'  {r.host}: {r.pci_flavor}: {r.needed} needed, {r.left} left '
            f'({r.condition}); {r.detail or "no such device"}'
            for r in reasons
        ]
        raise exception.ClaimRefused(
            '\n'.join(['no host can serve the request:', *lines]), reasons
        )


class Free(lister.Lister):
    """Give back all devices of an instance."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take whose."""
        parser = super().get_parser(prog_name)
        parser.add_argument('instance', help="the instance's UUID")
        parser.add_argument('--host', help='only those on this host')
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Free and show the devices."""
        return _rows(
            claims.free(
                self.app.database,
                parsed_args.instance,
                self.app.actor,
                parsed_args.host,
            )
        )
