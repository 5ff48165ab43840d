# SPDX-License-Identifier: Apache-2.0
"""Instances avoid NUMA nodes with free devices, native or of PCI flavors.

Each test has two equal hosts: the devices of one are native, those of the
other are for PCI flavors. Nova must choose the same nodes on both.
"""

from collections.abc import Mapping
from typing import Any

import fixtures
from nova.scheduler import host_manager
from nova.tests.fixtures import libvirt as fakelibvirt
import oslo_messaging
from oslo_serialization import jsonutils

from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.nova_plugin.install import verify
from pci_passthrough.tests.nova import base

#: The hosts: one with native devices, one with devices of PCI flavors.
NATIVE, OURS = 'native', 'ours'

#: Buses of their devices. ``[pci] device_spec`` matches only the first one.
_BUSES = {NATIVE: 0x82, OURS: 0x81}

#: Extra specs of instances with a NUMA topology of one node.
PINNED: dict[str, Any] = {'hw__cpu_policy': 'dedicated'}

#: Before this release, nova-compute avoids no devices, native or not, for an
#: instance that requests none. nova-scheduler does.
_AVOIDS = int(verify.nova_version().partition('.')[0]) >= 34

#: The nodes of an instance if node 0 has more free devices than node 1.
_OTHER = [1] if _AVOIDS else [0]


class TwinTest(base.NovaTest):
    """A test with the two hosts."""

    PCI_DEVICE_SPEC = [
        jsonutils.dumps(
            {
                'vendor_id': fakelibvirt.PCI_VEND_ID,
                'product_id': fakelibvirt.PCI_PROD_ID,
                'address': '*:82:*.*',
            }
        )
    ]

    def start_twins(
        self, devices: int = 1, numa_node: int | None = None
    ) -> None:
        """Start both hosts; see ``start_host``."""
        self.create_pci_flavor('gpu')
        for host, bus in _BUSES.items():
            native = devices if host == NATIVE else 0
            self.start_host(
                host,
                devices - native,
                native=native,
                numa_node=numa_node,
                bus=bus,
            )

    def boot_twin(
        self, host: str, devices: int = 0, **extra_specs: Any
    ) -> list[int]:
        """Create a server on a host; return its NUMA nodes on the host.

        :param devices: number of requested devices.
        """
        requests = None
        if devices and host == OURS:
            requests = f'gpu:{devices}'
        elif devices:
            extra_specs['pci_passthrough__alias'] = f'native:{devices}'
        server = self.boot(
            flavor_id=self.create_flavor(requests, **extra_specs),
            host=host,
        )
        return self.nodes(server)

    def nodes(self, server: Any) -> list[int]:
        """Return the host's NUMA nodes that a server is on."""
        topology = self.instance(server).numa_topology
        return sorted(cell.id for cell in topology.cells) if topology else []

    def assert_nodes(self, expected: list[int], **arguments: Any) -> None:
        """Check the NUMA nodes of a server on each host.

        :param arguments: of ``boot_twin``.
        """
        chosen = {
            host: self.boot_twin(host, **PINNED | arguments) for host in _BUSES
        }
        self.assertEqual({NATIVE: expected, OURS: expected}, chosen)


class ClaimTest(TwinTest):
    """nova-compute chooses the NUMA nodes."""

    def test_node_with_devices_is_avoided(self) -> None:
        self.start_twins(numa_node=0)
        self.assert_nodes(_OTHER)
        for host in _BUSES:
            self.boot_twin(host, devices=1)
        # No device is free any more: Nova takes the node with more free CPUs.
        self.assert_nodes([1 - node for node in _OTHER])

    def test_node_with_more_devices_is_avoided(self) -> None:
        # Two devices are on node 0, one is on node 1.
        self.start_twins(3)
        self.assert_nodes(_OTHER)

    def test_unpinned(self) -> None:
        self.start_twins(numa_node=0)
        self.assert_nodes(_OTHER, hw__numa_nodes='1', hw__cpu_policy='shared')

    def test_preferred_devices_are_near(self) -> None:
        self.start_twins(numa_node=1)
        self.assert_nodes(
            [1], devices=1, hw__pci_numa_affinity_policy='preferred'
        )

    def test_conductor_away(self) -> None:
        """Without an answer Nova chooses as if there were no devices."""
        self.start_twins(numa_node=0)
        self.wire.is_down = True
        self.assertEqual([0], self.boot_twin(OURS, **PINNED))

    def test_only_a_choice_costs_a_call(self) -> None:
        self.start_twins()
        self.assertEqual(0, self.offers(OURS))
        self.assertEqual(0, self.offers(OURS, hw__numa_nodes='2', **PINNED))
        self.assertEqual(0, self.offers(NATIVE, devices=1, **PINNED))
        self.assertEqual(1 if _AVOIDS else 0, self.offers(OURS, **PINNED))

    def offers(self, host: str, **arguments: Any) -> int:
        """Return how many ``offer`` calls a server on a host costs."""
        self.forget_calls()
        self.boot_twin(host, **arguments)
        return self.wire.calls.count('offer')


class MultiCreateTest(TwinTest):
    """nova-scheduler expects instances on the nodes that nova-compute takes.

    Otherwise it would promise what one instance of a multi-create leaves, and
    nova-compute would not have it.
    """

    def setUp(self) -> None:
        super().setUp()
        consume = host_manager.HostState.consume_from_request
        self.expected: dict[str, list[list[int]]] = {}

        def record(host: Any, spec: Any) -> None:
            consume(host, spec)
            nodes = sorted(cell.id for cell in spec.numa_topology.cells)
            self.expected.setdefault(host.host, []).append(nodes)

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.scheduler.host_manager.HostState.consume_from_request',
                record,
            )
        )

    def boot_two(self, **extra_specs: Any) -> None:
        """Create two servers by one request on each host."""
        flavor = self.create_flavor(None, **extra_specs)
        for host in _BUSES:
            self.boot_many(2, flavor, host=host)

    def fact(self) -> Mapping[str, Any]:
        """Return the scheduler's numbers of free devices."""
        (pci_filter,) = (
            enabled
            for enabled in self.scheduler.manager.host_manager.enabled_filters
            if isinstance(enabled, scheduler_filter.PciFlavorFilter)
        )
        return pci_filter._free.get(3600)

    def test_node_with_devices_is_avoided(self) -> None:
        self.start_twins(numa_node=0)
        base.wait_for(lambda: bool(self.fact()), 'an answer')
        self.boot_two(**PINNED)
        both = [[1], [1]]
        self.assertEqual({NATIVE: both, OURS: both}, self.expected)
        self.assertEqual(1, self.wire.calls.count('free_by_numa_node'))

    def test_no_answer(self) -> None:
        """An earlier conductor: Nova chooses as if there were no devices."""

        def unknown(method: str, arguments: Mapping[str, Any]) -> None:
            if method == 'free_by_numa_node':
                raise oslo_messaging.UnsupportedVersion('1.4', method)

        self.start_twins(numa_node=0)
        self.wire.before = unknown
        self.boot_two(**PINNED)
        self.assertEqual({NATIVE: [[1], [1]], OURS: [[0], [1]]}, self.expected)
        base.wait_for(
            lambda: 'not avoiding the nodes' in self.stdlog.logger.output,
            'a warning',
        )

    def test_one_instance_costs_no_call(self) -> None:
        self.start_twins(numa_node=0)
        self.boot_twin(OURS, **PINNED)
        self.assertNotIn('free_by_numa_node', self.wire.calls)
