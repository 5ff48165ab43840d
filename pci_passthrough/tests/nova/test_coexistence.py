# SPDX-License-Identifier: Apache-2.0
"""Tests of PCI flavors beside native requests, and of PCI in Placement."""

from typing import Any

from nova import objects as nova_objects
from nova.tests.fixtures import libvirt as fakelibvirt
from oslo_serialization import jsonutils

from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.tests.nova import base

#: The address of each host's native device.
NATIVE = '0000:81:00.0'


class BothTest(base.NovaTest):
    """Native devices and PCI flavors on a host; PCI in Placement is off."""

    in_placement = False

    def setUp(self) -> None:
        self.flags(report_in_placement=self.in_placement, group='pci')
        super().setUp()
        self.flags(
            pci_in_placement=self.in_placement, group='filter_scheduler'
        )
        self.create_pci_flavor('gpu')
        self.create_pci_flavor('big', {'e.size': 'big'})

    def flavor(self, requests: str | None, native: int = 1) -> str:
        """Create a Nova flavor for PCI flavors and native devices."""
        return self.create_flavor(
            requests, pci_passthrough__alias=f'native:{native}'
        )

    def assert_native(self, host: str, server: Any | None) -> None:
        """Check that a server has the native device, or that it is free."""
        state = ('allocated', server['id']) if server else ('available', None)
        self.assertEqual(state, self.rows(host)[NATIVE])
        if self.in_placement:
            self.assert_in_placement(host, server)

    def assert_in_placement(self, host: str, server: Any | None) -> None:
        """Check that Placement knows only the native device."""
        allocated = {NATIVE: {self.PCI_RC: 1}}
        self.assert_placement_pci_view(
            host,
            inventories={NATIVE: {self.PCI_RC: 1}},
            traits={NATIVE: []},
            usages={NATIVE: {self.PCI_RC: 1 if server else 0}},
            allocations={server['id']: allocated} if server else {},
        )
        self.assert_no_pci_healing(host)

    def test_in_one_instance(self) -> None:
        self.start_host('c0')
        self.assert_native('c0', None)
        server = self.boot(flavor_id=self.flavor('gpu:2'))
        addresses = self.assert_consistent('c0', server, 2)
        self.assert_native('c0', server)
        self.assertEqual([NATIVE, *addresses], self.hostdevs('c0', server))
        self.assertEqual(3, len(self.instance(server).pci_devices))
        self.run_periodic_tasks()
        self.assert_consistent('c0', server, 2)
        self.assert_native('c0', server)
        self._delete_server(server)
        self.assert_clean('c0')
        self.assert_native('c0', None)

    def test_neither_is_served_by_the_other(self) -> None:
        """Both requests match the same vendor and product."""
        self.start_host('c0')
        self.boot(flavor_id=self.flavor(None))
        self.boot_in_vain(flavor_id=self.flavor(None))
        self.boot('gpu:2')
        self.boot_in_vain('gpu')
        self.boot_in_vain(flavor_id=self.flavor('gpu'))

    def test_native_alone_calls_no_conductor(self) -> None:
        self.start_host('c0')
        self.forget_calls()
        server = self.boot(flavor_id=self.flavor(None))
        self.assert_native('c0', server)
        self.assertEqual([], self.scheduler_offers())
        self.assertNotIn('claim', self.wire.calls)

    def test_pci_flavor_alone(self) -> None:
        self.start_host('c0')
        server = self.boot('gpu')
        self.assert_guest_has('c0', server, 1)
        self.assert_native('c0', None)

    def test_hosts_without_the_native_device(self) -> None:
        """A host must have devices for both requests."""
        self.start_host('c0')
        other = fakelibvirt.HostPCIDevicesInfo(
            num_pci=3, num_pfs=0, num_vfs=0, bus=0x82
        )
        del other.devices['pci_0000_82_00_0']
        self.start_host('c1', native=0, info=other)
        flavor = self.flavor('gpu')
        server = self.boot(flavor_id=flavor)
        self.assertEqual('c0', self.host_of(server))
        self.boot_in_vain(flavor_id=flavor)

    def test_multi_create(self) -> None:
        self.start_host('c0', 3)
        self.start_host('c1', 3)
        servers = self.boot_many(2, self.flavor('gpu'))
        hosts = {self.host_of(server): server for server in servers}
        self.assertEqual({'c0', 'c1'}, set(hosts))
        for host, server in hosts.items():
            self.assert_consistent(host, server, 1)
            self.assert_native(host, server)
        self.assertEqual(1, len(self.scheduler_offers()))

    def test_moves(self) -> None:
        self.start_host('c0')
        self.start_host('c1')
        server = self.boot(flavor_id=self.flavor('big|gpu:2'), host='c0')
        server = self._migrate_server(server)
        self._confirm_resize(server)
        self.assert_clean('c0')
        self.assert_native('c0', None)
        self.assert_consistent('c1', server, 2)
        self.assert_native('c1', server)
        self._shelve_server(server)
        self.assert_clean('c0', 'c1')
        self.assert_native('c1', None)
        self.disable_host('c1')
        server = self._unshelve_server(server)
        self.assert_consistent('c0', server, 2)
        self.assert_native('c0', server)

    def test_resize(self) -> None:
        self.start_host('c0')
        self.start_host('c1')
        server = self.boot(flavor_id=self.flavor(None), host='c0')
        self._resize_server(server, self.flavor('big|gpu'))
        self._confirm_resize(server)
        self.assert_native('c0', None)
        self.assert_consistent('c1', server, 1)
        self.assert_native('c1', server)
        self._resize_server(server, self.create_flavor('gpu:2'))
        self._confirm_resize(server)
        self.assert_native('c1', None)
        self.assert_guest_has('c0', server, 2)

    def test_evacuation(self) -> None:
        self.start_host('c0')
        self.start_host('c1')
        server = self.boot(flavor_id=self.flavor('big|gpu'), host='c0')
        self.force_down('c0')
        server = self._evacuate_server(server)
        self.assert_consistent('c1', server, 1)
        self.assertEqual(('allocated', server['id']), self.rows('c1')[NATIVE])

    def test_live_migration(self) -> None:
        self.flags(device_detach_timeout='1', group='libvirt')
        self.create_pci_flavor('mobile', {'e.live_migratable': 'true'})
        for host in ('c0', 'c1'):
            self.start_host(host, live_migratable='true')
        server = self.boot('mobile', host='c0')
        self._live_migrate(server, 'completed')
        self.assertEqual('c1', self.host_of(server))
        self.assert_guest_has('c1', server, 1)

    def test_pools_of_both_are_counted(self) -> None:
        """Nova's weigher and its NUMA fitting see both pools."""
        seen: list[Any] = []
        self.start_host('c0', numa_node=1)
        (native_filter,) = (
            enabled
            for enabled in self.scheduler.manager.host_manager.enabled_filters
            if type(enabled).__name__ == 'PciPassthroughFilter'
        )
        original = native_filter.filter_all

        def record(hosts: Any, spec: Any) -> Any:
            seen.extend(host.pci_stats for host in hosts)
            return original(hosts, spec)

        native_filter.filter_all = record
        self.boot('gpu')
        (pools,) = seen
        self.assertIsInstance(pools, scheduler_filter.ScheduledStats)
        # One device for the PCI flavor was consumed by then.
        self.assertEqual(
            [(1, 1), (1, 1)],
            [(pool['numa_node'], pool['count']) for pool in pools.pools],
        )
        # Nova keeps only native pools in its database.
        self.assertEqual(
            [1], [pool.count for pool in pools.to_device_pools_obj()]
        )

    def test_only_native_devices_in_stored_pools(self) -> None:
        self.start_host('c0')
        self.boot('gpu')
        node = nova_objects.ComputeNode.get_by_nodename(self.ctxt, 'c0')
        self.assertEqual([1], [pool.count for pool in node.pci_device_pools])


class BothInPlacementTest(BothTest):
    """The same tests with PCI in Placement, for native devices only."""

    in_placement = True


class PciFlavorsOnlyTest(base.NovaTest):
    """Hosts without ``[pci] device_spec``."""

    PCI_DEVICE_SPEC: list[str] = []

    def test_boot(self) -> None:
        self.create_pci_flavor('gpu')
        self.start_host('c0', 2, native=0)
        self.assertEqual({}, self.rows('c0'))
        server = self.boot('gpu:2')
        self.assert_guest_has('c0', server, 2)
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertEqual({}, self.rows('c0'))


class PortTest(base.NovaTest):
    """A Neutron port that needs a native device, and a PCI flavor."""

    PCI_DEVICE_SPEC = [
        jsonutils.dumps(
            {
                'vendor_id': fakelibvirt.PCI_VEND_ID,
                'product_id': fakelibvirt.VF_PROD_ID,
                'physical_network': 'physnet4',
            }
        )
    ]

    def start(self, host: str) -> None:
        """Start a host with two GPUs for PCI flavors, and two native VFs."""
        info = fakelibvirt.HostPCIDevicesInfo(num_pci=2, num_pfs=1, num_vfs=2)
        gpus = [
            device
            for device in base.offered(info)
            if device.dev_type == 'type-PCI'
        ]
        self.report(host, gpus)
        self.start_compute(hostname=host, pci_info=info)

    def assert_has_both(self, host: str, server: Any) -> None:
        """Check that a server has two GPUs and a VF for its port."""
        self.assert_guest_has(host, server, 2)
        owners = [owner for _, owner in self.rows(host).values() if owner]
        self.assertEqual([server['id']] * 3, owners)

    def test_in_one_instance(self) -> None:
        self.create_pci_flavor('gpu')
        self.start('c0')
        self.start('c1')
        port = self.neutron.create_port(
            {'port': self.neutron.network_4_port_1}
        )['port']
        server = self.boot('gpu:2', networks=[{'port': port['id']}])
        first = self.host_of(server)
        self.assert_has_both(first, server)
        server = self._migrate_server(server)
        self._confirm_resize(server)
        self.assertNotEqual(first, self.host_of(server))
        self.assert_has_both(self.host_of(server), server)
        self.assert_clean(first)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')
        # The native VFs are free again.
        for host in ('c0', 'c1'):
            self.assertEqual(
                {('available', None)}, set(self.rows(host).values())
            )
