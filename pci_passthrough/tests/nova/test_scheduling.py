# SPDX-License-Identifier: Apache-2.0
"""Tests of requests for PCI flavors in Nova's scheduler."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import fixtures
from nova import objects as nova_objects
from nova.tests.fixtures import libvirt as fakelibvirt
import oslo_messaging
import testtools

from pci_passthrough import objects
from pci_passthrough.conf.nova import GROUP
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import cloud_facts
from pci_passthrough.nova_plugin import stats
from pci_passthrough.nova_plugin import weigher
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.nova import base


class SchedulingTest(base.NovaTest):
    """A test with a PCI flavor for GPUs."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')

    def logged(self) -> list[str]:
        """Return the log lines of the filter so far."""
        return [
            line
            for line in self.stdlog.logger.output.splitlines()
            if 'INFO [pci_passthrough.nova_plugin.scheduler_filter]' in line
        ]

    def assert_refused(self, summary: str, **arguments: Any) -> None:
        """Check that a server gets no host; the reason is recorded."""
        self.forget_calls()
        before = len(self.logged())
        server = self.boot_in_vain(**arguments)
        self.assertIn('No valid host', server['fault']['message'])
        self.assertEqual([summary], self.refusals_of(server))
        (line,) = self.logged()[before:]
        self.assertIn(server['id'], line)
        self.assertIn(summary, line)
        self.assertNotIn('claim', self.wire.calls)


class CallTest(SchedulingTest):
    """The filter calls the conductor once for each call of the scheduler."""

    def test_all_hosts_at_once(self) -> None:
        for bus, host in enumerate(('c0', 'c1', 'c2'), base.BUS):
            self.start_host(host, bus=bus)
        server = self.boot('gpu:2')
        (call,) = self.scheduler_offers()
        self.assertEqual(['c0', 'c1', 'c2'], call['hosts'])
        self.assertEqual(server['id'], call['instance_uuid'])
        self.assert_guest_has(self.host_of(server), server, 2)
        self.assertEqual([], self.logged())

    def test_multi_create(self) -> None:
        """A device that one instance gets is not promised to the next one."""
        self.start_host('c0', 3)
        self.start_host('c1', 1, bus=0x82)
        servers = self.boot_many(4, self.create_flavor('gpu'))
        self.assertEqual(1, len(self.scheduler_offers()))
        hosts = [self.host_of(server) for server in servers]
        self.assertEqual(['c0', 'c0', 'c0', 'c1'], sorted(hosts))
        for host, server in zip(hosts, servers, strict=True):
            self.assert_guest_has(host, server, 1)
        # One claim for each server: no chosen host has refused.
        self.assertEqual(4, self.wire.calls.count('claim'))

    def test_multi_create_of_too_many(self) -> None:
        self.start_host('c0', 2)
        servers = self.boot_many(3, self.create_flavor('gpu'), 'ERROR')
        self.assertEqual(1, len(self.scheduler_offers()))
        self.assertNotIn('claim', self.wire.calls)
        (line,) = self.logged()
        self.assertIn('1 host: no free gpu', line)
        self.assertEqual(
            1, sum(server['id'] in line for server in servers), line
        )
        self.assert_clean('c0')

    def test_multi_create_breaks_physical_functions(self) -> None:
        """A PF is not promised while one of its VFs is."""
        info = fakelibvirt.HostPCIDevicesInfo(num_pfs=2, num_vfs=4)
        self.flags(device_spec=[], group='pci')
        self.start_host('c0', native=0, info=info)
        self.create_pci_flavor('pf', {'product_id': fakelibvirt.PF_PROD_ID})
        self.create_pci_flavor('vf', {'product_id': fakelibvirt.VF_PROD_ID})
        flavor = self.create_flavor('vf:2,pf')
        self.boot_many(2, flavor, 'ERROR')
        self.assertNotIn('claim', self.wire.calls)
        (server,) = self.boot_many(1, flavor)
        self.assert_consistent('c0', server, 3)


class RefusalTest(SchedulingTest):
    """The reasons why hosts are refused are logged and recorded."""

    def test_none_free(self) -> None:
        self.start_host('c0', 1)
        self.boot()
        self.assert_refused('1 host: no free gpu')

    def test_too_few(self) -> None:
        self.start_host('c0', 2)
        self.assert_refused('1 host: 2 free gpu, 3 needed', requests='gpu:3')

    def test_no_device_matches(self) -> None:
        self.create_pci_flavor('other', {'product_id': 'ffff'})
        self.start_host('c0', 2)
        self.assert_refused('1 host: no free other', requests='other')

    def test_each_alternative_is_named(self) -> None:
        self.create_pci_flavor('other', {'product_id': 'ffff'})
        self.start_host('c0', 1)
        self.assert_refused(
            '1 host: 1 free gpu, 2 needed; 1 host: no free other',
            requests='other|gpu:2',
        )

    def test_agent_is_silent(self) -> None:
        self.start_host('c0')
        self.silence('c0', agent=True, tracker=False)
        self.assert_refused('1 host: has not reported for too long')

    def test_tracker_is_silent(self) -> None:
        """A nova-compute without the Nova plugin does not register."""
        self.start_host('c0')
        self.silence('c0', agent=False, tracker=True)
        self.assert_refused(
            '1 host: its nova-compute has not registered lately, or never'
        )

    def test_no_agent(self) -> None:
        self.start_compute(hostname='c0')
        self.assert_refused(
            '1 host: has never reported: no pci-passthrough-agent'
        )

    def test_summed_up(self) -> None:
        for bus, host in enumerate(('a', 'b', 'c', 'd'), base.BUS):
            self.start_host(host, 1 if host == 'a' else 0, bus=bus)
        self.boot(host='a')
        self.silence('d', agent=True, tracker=False)
        self.assert_refused(
            '3 hosts: no free gpu; 1 host: has not reported for too long'
        )

    def test_recorded_also_when_another_host_serves(self) -> None:
        self.start_host('c0', 0)
        self.start_host('c1', 1, bus=0x82)
        server = self.boot()
        self.assertEqual('c1', self.host_of(server))
        self.assertEqual(['1 host: no free gpu'], self.refusals_of(server))
        # The search for alternates does not log it again.
        self.assertEqual(1, len(self.logged()))

    def test_conductor_away(self) -> None:
        def away(method: str, arguments: Mapping[str, Any]) -> None:
            if method == 'offer':
                raise oslo_messaging.MessagingTimeout(method)

        self.start_host('c0')
        self.start_host('c1', bus=0x82)
        self.wire.before = away
        self.assert_refused(
            "2 hosts: no pci-passthrough-conductor answered 'offer' in time; "
            'is one running, on the same broker and virtual host?'
        )

    def test_pci_flavor_is_gone(self) -> None:
        """A PCI flavor is deleted between nova-api and the scheduler."""

        def delete(method: str, arguments: Mapping[str, Any]) -> None:
            if method == 'offer':
                editing.delete(self.db, 'gpu')
                self.wire.before = lambda method, arguments: None

        self.start_host('c0')
        self.wire.before = delete
        server = self.boot_in_vain()
        (summary,) = self.refusals_of(server)
        self.assertIn('1 host: ', summary)
        self.assertIn('PCI flavor', summary)


class FaultTest(SchedulingTest):
    """The fault of a server says why there is no host, for its project."""

    def fault_of(self, server: Mapping[str, Any]) -> str:
        shown = self.api.get_server(server['id'])
        return str(shown['fault']['message'])

    def test_new_server(self) -> None:
        self.start_host('c0', 1)
        self.boot()
        server = self.boot_in_vain()
        self.assertEqual(
            'No valid host was found. PCI flavor gpu: No device is free. '
            "See 'openstack pci flavor explain gpu'.",
            self.fault_of(server),
        )

    def test_other_reason(self) -> None:
        """Our filter has passed a host that another one refuses."""
        self.start_host('c0', 1)
        flavor = self.create_flavor('gpu', vcpu=16, hw__numa_nodes='16')
        server = self.boot_in_vain(flavor_id=flavor)
        self.assertEqual(
            'No valid host was found. There are not enough hosts available.',
            self.fault_of(server),
        )

    def test_limit_of_candidates(self) -> None:
        """Placement names a host without free devices only."""
        self.flags(max_placement_results=1, group='scheduler')
        self.start_host('c0', 1)
        self.start_host('c1', 1, bus=0x82)
        self.boot()
        server = self.boot_in_vain()
        self.assertEqual(
            [
                "1 host: free devices, but not among Nova's candidates: "
                'max_placement_results = 1 was reached; 1 host: no free gpu'
            ],
            self.refusals_of(server),
        )
        self.assertEqual(
            'No valid host was found. PCI flavor gpu: No device is free. '
            'Devices are free on hosts that were not considered for the '
            "server. See 'openstack pci flavor explain gpu'.",
            self.fault_of(server),
        )


class PluginMissingTest(SchedulingTest):
    """One process lacks the Nova plugin: the server gets no host."""

    def test_api(self) -> None:
        self.start_host('c0')
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.pci.request.get_pci_requests_from_flavor',
                lambda flavor, affinity_policy=None: (
                    nova_objects.InstancePCIRequests(requests=[])
                ),
            )
        )
        self.assert_refused(
            '1 host: the flavor asks for PCI flavors and the request does '
            'not: a nova-api without pci_passthrough has made it'
        )
        self.assertEqual([], self.scheduler_offers())

    def test_scheduler(self) -> None:
        self.start_host('c0')
        filters = self.scheduler.manager.host_manager.enabled_filters
        filters[:] = [
            enabled
            for enabled in filters
            if type(enabled).__name__ != 'PciFlavorFilter'
        ]
        server = self.boot_in_vain()
        self.assertIn('No valid host', server['fault']['message'])
        self.assertNotIn('claim', self.wire.calls)


class NumaTest(SchedulingTest):
    """NUMA policies, together with Nova's NUMATopologyFilter."""

    def pinned(
        self, requests: str | None, vcpu: int = 2, **extra_specs: str
    ) -> str:
        """Create a Nova flavor with a NUMA topology."""
        extra_specs.setdefault('hw__cpu_policy', 'dedicated')
        return self.create_flavor(requests, vcpu, **extra_specs)

    def nodes(self, server: Any) -> list[int]:
        """Return the host's NUMA nodes that a server is on."""
        cells = self.instance(server).numa_topology.cells
        return sorted(cell.id for cell in cells)

    def start_host_with_nodes(self, *nodes: int | None) -> None:
        """Start a host with a GPU on each of some NUMA nodes."""
        info = fakelibvirt.HostPCIDevicesInfo(
            num_pci=1 + len(nodes), num_pfs=0, num_vfs=0
        )
        devices = [
            device.replace(numa_node=node)
            for device, node in zip(base.offered(info, 1), nodes, strict=True)
        ]
        self.report('c0', devices)
        self.start_compute(hostname='c0', pci_info=info)

    def test_required(self) -> None:
        self.create_pci_flavor('near', numa_policy='required')
        self.start_host('c0', 2, numa_node=1)
        flavor = self.pinned('near')
        server = self.boot(flavor_id=flavor)
        self.assertEqual([1], self.nodes(server))
        self.assert_guest_has('c0', server, 1)

    def test_required_and_no_cpu_there(self) -> None:
        self.create_pci_flavor('near', numa_policy='required')
        self.start_host('c0', 2, numa_node=1)
        flavor = self.pinned('near', vcpu=4)
        self.boot(flavor_id=flavor)
        server = self.boot_in_vain(flavor_id=flavor)
        self.assertIn('No valid host', server['fault']['message'])
        self.assertEqual(1, len(self.held('c0')))
        # The device is near: NUMATopologyFilter has refused.
        self.assertEqual([], self.logged())

    def test_no_device_is_near(self) -> None:
        self.create_pci_flavor('near', numa_policy='required')
        self.start_host_with_nodes(None, None)
        self.assert_refused(
            '1 host: 0 near near the instance (NUMA), 1 needed',
            flavor_id=self.pinned('near'),
        )
        # Without a NUMA topology everything is near.
        self.boot('near')

    def test_not_all_devices_are_near(self) -> None:
        self.create_pci_flavor('close', numa_policy='required')
        self.start_host_with_nodes(0, 1)
        self.assert_refused(
            '1 host: 1 close near the instance (NUMA), 2 needed',
            flavor_id=self.pinned('close:2'),
        )
        server = self.boot(
            flavor_id=self.pinned('close:2', hw__numa_nodes='2')
        )
        self.assertEqual([0, 1], self.nodes(server))
        self.assert_guest_has('c0', server, 2)

    def test_legacy_takes_devices_of_no_node(self) -> None:
        self.start_host_with_nodes(None)
        self.boot(flavor_id=self.pinned('gpu'))

    def test_preferred(self) -> None:
        self.create_pci_flavor('any', numa_policy='preferred')
        self.start_host('c0', 1, numa_node=1)
        near = self.boot(flavor_id=self.pinned('any', vcpu=4))
        self.assertEqual([1], self.nodes(near))
        self._delete_server(near)
        self.assert_clean('c0')
        self.boot(flavor_id=self.pinned(None, vcpu=4))
        far = self.boot(flavor_id=self.pinned('any', vcpu=4))
        self.assert_guest_has('c0', far, 1)

    def start_socket_host(self, nodes: int, sockets: int) -> str:
        """Start a host whose GPU is not on the node of the usable CPUs.

        :returns: a Nova flavor whose device must be on their socket.
        """
        self.flags(cpu_dedicated_set='4-7', group='compute')
        self.create_pci_flavor('near', numa_policy='socket')
        info = fakelibvirt.HostPCIDevicesInfo(
            num_pci=2, num_pfs=0, num_vfs=0, numa_node=0
        )
        self.report('c0', base.offered(info, 1))
        self.start_compute(
            hostname='c0',
            pci_info=info,
            host_info=fakelibvirt.HostInfo(
                cpu_nodes=nodes, cpu_sockets=sockets, cpu_threads=2
            ),
        )
        return self.pinned('near')

    def test_same_socket(self) -> None:
        server = self.boot(flavor_id=self.start_socket_host(2, 1))
        self.assertEqual([1], self.nodes(server))
        self.assert_guest_has('c0', server, 1)

    def test_other_socket(self) -> None:
        flavor = self.start_socket_host(1, 2)
        server = self.boot_in_vain(flavor_id=flavor)
        self.assertIn('No valid host', server['fault']['message'])

    def test_flavor_wins(self) -> None:
        self.create_pci_flavor('any', numa_policy='preferred')
        self.start_host_with_nodes(None)
        flavor = self.pinned('any', hw__pci_numa_affinity_policy='required')
        self.assert_refused(
            '1 host: 0 any near the instance (NUMA), 1 needed',
            flavor_id=flavor,
        )

    def test_image_wins(self) -> None:
        self.create_pci_flavor('near', numa_policy='required')
        self.start_host_with_nodes(None)
        image = self._create_image(
            {'hw_pci_numa_affinity_policy': 'preferred'}
        )
        flavor = self.pinned('near')
        self.boot_in_vain(flavor_id=flavor)
        self.boot(flavor_id=flavor, image_uuid=image['id'])

    def test_multi_create(self) -> None:
        """Each instance is on the node of its device."""
        self.create_pci_flavor('near', numa_policy='required')
        self.start_host('c0', 2)
        servers = self.boot_many(2, self.pinned('near'))
        nodes = sorted(self.nodes(server) for server in servers)
        self.assertEqual([[0], [1]], nodes)
        self.assertEqual(1, len(self.scheduler_offers()))
        self.assertEqual(2, self.wire.calls.count('claim'))


class AffinityTest(testtools.TestCase):
    """Tests of ``stats.affinity``."""

    def affinity(
        self,
        nodes: list[int] | None,
        sockets: Sequence[int | None] | None,
    ) -> objects.NumaAffinity | None:
        """Return the affinity on a host with a node for each socket."""
        cells = [nova_objects.InstanceNUMACell(id=i) for i in nodes or ()]
        host = sockets and nova_objects.NUMATopology(
            cells=[
                nova_objects.NUMACell(id=i, socket=socket)
                for i, socket in enumerate(sockets)
            ]
        )
        return stats.affinity(cells, host)

    def test_no_topology(self) -> None:
        self.assertIsNone(self.affinity(None, [0, 0]))

    def test_nodes_of_the_sockets(self) -> None:
        cases: list[
            tuple[list[int], Sequence[int | None] | None, list[int]]
        ] = [
            ([0], [0, 0, 1, 1], [0, 1]),
            ([3, 2], [0, 0, 1, 1], [2, 3]),
            ([1, 2], [0, 0, 1, 1], [0, 1, 2, 3]),
            # Without the sockets of all nodes, no nodes share a socket.
            ([0], [0, 0, 1, None], []),
            ([0], None, []),
        ]
        for nodes, sockets, near in cases:
            with self.subTest(nodes=nodes, sockets=sockets):
                self.assertEqual(
                    objects.NumaAffinity(
                        nodes=sorted(nodes), socket_nodes=near
                    ),
                    self.affinity(nodes, sockets),
                )


class WeigherTest(SchedulingTest):
    """Of the hosts that can serve, the one with the least loss."""

    def setUp(self) -> None:
        super().setUp()
        # Nova's weighers prefer the host that is used less.
        self.flags(pci_flavor_weight_multiplier=100.0, group=GROUP)

    def start_unequal_hosts(self) -> None:
        """Start c0 with tagged devices and c1 with plain ones."""
        self.start_host('c0', size='big')
        self.start_host('c1', bus=0x82)

    def test_plain_devices_first(self) -> None:
        self.start_unequal_hosts()
        self.assertEqual('c1', self.host_of(self.boot()))

    def test_multiplier(self) -> None:
        self.flags(pci_flavor_weight_multiplier=-100.0, group=GROUP)
        self.start_unequal_hosts()
        self.assertEqual('c0', self.host_of(self.boot()))

    def test_multiplier_of_an_aggregate(self) -> None:
        self.start_unequal_hosts()
        aggregate_id = self._create_aggregate('all')
        for host in ('c0', 'c1'):
            self.admin_api.add_host_to_aggregate(aggregate_id, host)
        self.admin_api.post_aggregate_action(
            aggregate_id,
            {
                'set_metadata': {
                    'metadata': {'pci_flavor_weight_multiplier': '-100'}
                }
            },
        )
        self.assertEqual('c0', self.host_of(self.boot()))

    def test_first_alternative(self) -> None:
        self.start_unequal_hosts()
        self.create_pci_flavor('big', {'e.size': 'big'})
        hosts = [self.host_of(self.boot('big|gpu')) for _ in range(3)]
        self.assertEqual(['c0', 'c0', 'c1'], hosts)

    def test_whole_physical_functions_are_kept(self) -> None:
        self.flags(device_spec=[], group='pci')
        self.create_pci_flavor('vf', {'product_id': fakelibvirt.VF_PROD_ID})
        info = fakelibvirt.HostPCIDevicesInfo(num_pfs=1, num_vfs=2)
        self.start_host('c0', native=0, info=info)
        other = fakelibvirt.HostPCIDevicesInfo(num_pfs=1, num_vfs=2, bus=0x82)
        self.report('c1', base.offered(other)[1:])
        self.start_compute(hostname='c1', pci_info=other)
        # On c0 the PF would be lost for requests for a whole PF.
        self.create_pci_flavor('pf', {'product_id': fakelibvirt.PF_PROD_ID})
        hosts = [self.host_of(self.boot('vf|pf')) for _ in range(3)]
        self.assertEqual(['c1', 'c1', 'c0'], hosts)


class AvoidedHostsTest(SchedulingTest):
    """Instances without PCI flavors avoid hosts with devices."""

    def setUp(self) -> None:
        super().setUp()
        # Nova's weighers prefer the host that is used less.
        self.flags(pci_flavor_weight_multiplier=100.0, group=GROUP)
        self.start_host('c0')
        self.start_host('c1', 0, bus=0x82)

    def wait_for_answer(self) -> None:
        """Let the weigher call the conductor, and wait for the answer."""
        (pci_weigher,) = (
            enabled
            for enabled in self.scheduler.manager.host_manager.weighers
            if isinstance(enabled, weigher.PciFlavorWeigher)
        )
        base.wait_for(
            lambda: bool(pci_weigher._hosts.get(60)), 'hosts with devices'
        )

    def test_avoided(self) -> None:
        self.wait_for_answer()
        hosts = {self.host_of(self.boot(None)) for _ in range(3)}
        self.assertEqual({'c1'}, hosts)

    def test_used_if_there_is_no_other(self) -> None:
        self.wait_for_answer()
        self.disable_host('c1')
        self.assertEqual('c0', self.host_of(self.boot(None)))

    def test_negative_multiplier(self) -> None:
        self.flags(pci_flavor_weight_multiplier=-100.0, group=GROUP)
        self.wait_for_answer()
        self.assertEqual('c0', self.host_of(self.boot(None)))

    def test_held_devices_count(self) -> None:
        self.boot('gpu:2')
        self.assertEqual(['c0'], client.conductor().hosts_with_devices())

    def test_withdrawn_devices_do_not(self) -> None:
        self.report('c0', [])
        self.assertEqual([], client.conductor().hosts_with_devices())


class HostsWithDevicesTest(SchedulingTest):
    """The scheduler's list of hosts with devices, a ``CloudFact``."""

    def test_asked_again_after_a_while(self) -> None:
        self.start_host('c0')
        hosts = cloud_facts.hosts_with_devices()
        self.assertEqual(frozenset(), hosts.get(1000))
        base.wait_for(lambda: hosts.get(1000) == {'c0'}, 'host c0')
        self.report('c0', [])
        self.assertEqual({'c0'}, hosts.get(1000))
        base.wait_for(lambda: not hosts.get(0), 'no host')

    def test_conductor_away(self) -> None:
        self.start_host('c0')
        hosts = cloud_facts.hosts_with_devices()
        base.wait_for(lambda: hosts.get(1000) == {'c0'}, 'host c0')
        self.wire.is_down = True
        base.wait_for(lambda: not hosts.get(0), 'no host')
        self.assertIn('not avoiding them', self.stdlog.logger.output)

    def test_does_not_wait_for_an_answer(self) -> None:
        crash = base.Crash()
        self.wire.before = crash
        hosts = cloud_facts.hosts_with_devices()
        self.assertEqual(frozenset(), hosts.get(0))
        crash.wait()
        self.assertEqual(frozenset(), hosts.get(1000))
