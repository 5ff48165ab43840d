# SPDX-License-Identifier: Apache-2.0
"""``claim`` and ``free``: claims by hand, without Nova."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from cliff import lister

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import nova_api
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.cmd.manage import arguments
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import formatters
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import ledger
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions as store_claims
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting
from pci_passthrough.store.views import explanations

_COLUMNS: dict[str, Callable[[objects.PciDevice], Any]] = {
    'Host': lambda device: device.host,
    'Address': lambda device: device.address,
    'Type': lambda device: columns.device_type(device.reported()),
    'Vendor:Product': lambda device: formatters.vendor_and_product(
        device.reported()
    ),
    'NUMA Node': lambda device: columns.OrDash(device.numa_node),
    'State': lambda device: device.state,
    'Request': lambda device: columns.OrDash(device.request_id),
}

#: Newest events of a device in which a report of nova-compute is looked for.
_EVENTS = 100


class Claim(lister.Lister):
    """Claim devices of one host for an instance.

    Each call is a separate request: a repeated call takes more devices.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the instance, the request and the host."""
        parser = super().get_parser(prog_name)
        arguments.add_instance(parser)
        parser.add_argument(
            'request',
            help='PCI flavors with the numbers of devices, for example '
            '10g:2,bigGPU|midGPU:1 (two of 10g, and one of bigGPU or else of '
            'midGPU)',
        )
        parser.add_argument(
            '--host',
            help='the host (default: the first one, by name, that can serve '
            'the request)',
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
            help='allocate the devices to the instance; without this option '
            'they are only claimed',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Claim the devices, and return columns and rows."""
        requests = request_spec.parse(parsed_args.request)
        numa = None
        if parsed_args.numa_node:
            numa = objects.NumaAffinity(
                nodes=parsed_args.numa_node,
                socket_nodes=parsed_args.numa_node,
            )
        host, devices = self._claim(
            parsed_args.instance, requests, parsed_args.host, numa
        )
        if parsed_args.allocate:
            devices = self._allocate(host, parsed_args.instance, requests)
        return columns.table(_COLUMNS, devices)

    def _allocate(
        self,
        host: str,
        instance: str,
        requests: Sequence[objects.PciRequest],
    ) -> list[objects.PciDevice]:
        app = context.of(self)
        # The instance may have further claims; these ids leave them alone.
        ids = [request.request_id for request in requests]
        try:
            return store_claims.allocate(
                app.writer, host, instance, app.actor, ids
            )
        except exception.PciPassthroughError:
            # No later command knows the request ids of this claim.
            store_claims.abort(app.writer, host, instance, app.actor, ids)
            raise

    def _claim(
        self,
        instance: str,
        requests: Sequence[objects.PciRequest],
        only_host: str | None,
        numa: objects.NumaAffinity | None,
    ) -> tuple[str, list[objects.PciDevice]]:
        """Return the host, and the devices that were claimed there.

        :raises ClaimRefused: no host can serve the requests.
        """
        app = context.of(self)
        demands = resolving.demands(
            app.writer, requests, instance_uuid=instance
        )
        hosts = counting.serving_hosts(
            app.writer,
            app.policy.limits,
            demands,
            numa,
        )
        for host in [only_host] if only_host else hosts:
            try:
                return host, claiming.claim(
                    app.writer,
                    app.policy,
                    claims.ClaimRequest(
                        host, instance, requests, app.actor, numa
                    ),
                    get_aggregates=nova_api.Aggregates(app.conf).get,
                )
            except exception.ClaimRefused as refused:
                if only_host:
                    raise _explained(
                        f'{host} cannot serve the request:', refused.reasons
                    ) from refused
                # Another claim took the devices after they were counted.
        raise self._refusal(demands, numa)

    def _refusal(
        self,
        demands: Sequence[claims.Demand],
        numa: objects.NumaAffinity | None,
    ) -> exception.ClaimRefused:
        """Return an error with the reasons of each host."""
        app = context.of(self)
        limits = app.policy.limits
        reasons = explanations.refusals(app.writer, limits, demands, numa)
        if not reasons:
            return exception.ClaimRefused(
                'no host is up (no agent has reported within the last '
                f'{limits.host_timeout} seconds), or devices became free '
                'just now'
            )
        return _explained('no host can serve the request:', reasons)


def _explained(
    summary: str, reasons: Sequence[objects.RefusalReason]
) -> exception.ClaimRefused:
    lines = [
        f'  {r.host}: {r.pci_flavor}: {r.needed} needed, {r.left} left '
        f'({r.condition}); {r.detail or "no such device"}'
        for r in reasons
    ]
    return exception.ClaimRefused('\n'.join([summary, *lines]), reasons)


class Free(lister.Lister):
    """Free all devices of an instance.

    Only use it for an instance that is gone: other instances may get the
    devices at once. If Nova has the instance on the host, or moving there,
    nova-compute records it as the holder again. The last column is what
    nova-compute has last reported about the device and this instance.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the instance and the host."""
        parser = super().get_parser(prog_name)
        arguments.add_instance(parser)
        parser.add_argument('--host', help='only its devices on this host')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Free the devices, and return columns and rows."""
        app = context.of(self)
        freed = store_claims.free(
            app.writer,
            parsed_args.instance,
            app.actor,
            parsed_args.host,
            bounds=app.policy.bounds,
        )
        if not freed:
            where = f' on {parsed_args.host}' if parsed_args.host else ''
            self.app.stderr.write(
                f'Instance {parsed_args.instance} holds no device{where}.\n'
            )
        last_report = {
            'Last Report of Nova': lambda device: columns.OrDash(
                _last_report(app.writer, device, parsed_args.instance)
            )
        }
        return columns.table(_COLUMNS | last_report, freed)


def _last_report(
    db: store.Reader, device: objects.PciDevice, instance: str
) -> str | None:
    """Return what nova-compute has last done with a device of an instance."""
    for event in reversed(ledger.history(db, device.uuid, _EVENTS)):
        if event.instance_uuid == instance and event.actor.startswith(
            'nova-compute/'
        ):
            return f'{event.action}, {event.created_at:%Y-%m-%d %H:%M:%S}'
    return None
