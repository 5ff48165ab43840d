# SPDX-License-Identifier: Apache-2.0
"""Compares a scheduling decision with PCI flavors and one with aliases.

Nova's way: the scheduler reads the pools of all candidate hosts from texts in
its database, and runs PciPassthroughFilter. The way of PCI flavors: one call
to the conductor, through all of the messaging but the broker,
PciFlavorFilter, and PciPassthroughFilter after it. Both match the same
devices, and must pass the same hosts. Both ways need a host state for each
host, with empty pools of Nova; the second ratio leaves that out.

For several pinned instances without PCI devices, it compares the filters with
and without PciFlavorFilter, which adds the numbers of free devices.

Run it with ``tools/with-nova .venv-nova-34 python -m
pci_passthrough.tests.nova.bench_scheduling``.
"""

import argparse
import collections
from collections.abc import Mapping
import random
import time
from typing import Any

from nova import config
from nova import objects as nova_objects
from nova.objects import pci_device_pool
from nova.pci import stats as nova_stats
from nova.scheduler import host_manager
from nova.scheduler.filters import numa_topology_filter
from nova.scheduler.filters import pci_passthrough_filter
from nova.virt import hardware
from oslo_serialization import jsonutils
from oslo_utils import uuidutils
import sqlalchemy as sa

from pci_passthrough import store
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.objects import fields
from pci_passthrough.services import endpoint
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.tests.bench import __main__ as bench
from pci_passthrough.tests.bench import cloud
from pci_passthrough.tests.bench import timing
from pci_passthrough.tests.nova import wire

#: Nothing is ever down: the cloud reports once.
_LIMITS = store.Limits(10 * 86400.0, 10 * 86400.0)

#: PCI flavor to its match, and to the same match as an alias has it.
_KINDS: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    'gpu': (
        {'vendor_id': '10de', 'product_id': '2330'},
        {'vendor_id': '10de', 'product_id': '2330'},
    ),
    'vf': (
        {'dev_type': 'type-VF', 'e.physical_network': 'physnet1'},
        {
            'vendor_id': '8086',
            'product_id': '1889',
            'dev_type': 'type-VF',
            'physical_network': 'physnet1',
        },
    ),
    'disk': (
        {'vendor_id': '144d'},
        {'vendor_id': '144d', 'product_id': 'a824'},
    ),
}


class Clouds:
    """The same devices in this project's database and in Nova's.

    :param hosts: number of hosts.
    :param candidates: number of hosts that Placement returns.
    """

    def __init__(self, url: str, hosts: int, candidates: int) -> None:
        self.db = database.Writer(url)
        schema.sync(self.db)
        cloud.fill(self.db, hosts)
        self._analyze()
        for name, (match, _) in _KINDS.items():
            editing.create(self.db, name, None, match=[match])
        policy = store.Policy(_LIMITS)
        messages = wire.Wire(endpoint.ConductorEndpoint(self.db, policy))
        client.replace(messages.client())
        numbers = random.Random(7).sample(range(hosts), candidates)
        self.names = sorted(cloud.host_name(number) for number in numbers)
        self.pools = self._novas_pools()

    def _analyze(self) -> None:
        statement = {
            'mysql': 'ANALYZE TABLE pci_devices, compute_nodes',
            'mariadb': 'ANALYZE TABLE pci_devices, compute_nodes',
            'postgresql': 'VACUUM ANALYZE pci_devices',
        }.get(self.db.engine.dialect.name, 'ANALYZE')
        # PostgreSQL's VACUUM cannot be in a transaction.
        engine = self.db.engine.execution_options(isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def _novas_pools(self) -> Mapping[str, list[Any]]:
        """Return host to the pools that Nova would have."""
        devices, nodes = models.pci_devices, models.compute_nodes
        keys = models.pool_keys
        parent = devices.alias()
        statement = (
            sa.select(
                nodes.c.host,
                keys.c.vendor_id,
                keys.c.product_id,
                keys.c.numa_node,
                keys.c.dev_type,
                keys.c.extra_info,
                sa.func.count(),
            )
            .join(nodes, nodes.c.id == devices.c.compute_node_id)
            .join(keys, keys.c.id == devices.c.pool_key_id)
            .outerjoin(
                parent,
                (parent.c.compute_node_id == devices.c.compute_node_id)
                & (parent.c.address == devices.c.parent_addr),
            )
            .where(
                devices.c.status == fields.DeviceStatus.AVAILABLE,
                sa.func.coalesce(parent.c.status, 'available')
                == fields.DeviceStatus.AVAILABLE,
            )
            .group_by(nodes.c.host, keys.c.id)
        )
        if self.db.engine.dialect.name == 'postgresql':
            statement = statement.group_by(*statement.selected_columns[1:6])
        pools: dict[str, list[Any]] = collections.defaultdict(list)
        with self.db.read() as connection:
            for host, *facts, tags, count in connection.execute(statement):
                vendor_id, product_id, numa_node, dev_type = facts
                pools[host].append(
                    nova_objects.PciDevicePool(
                        vendor_id=vendor_id,
                        product_id=product_id,
                        numa_node=numa_node,
                        tags={'dev_type': dev_type, **dict(tags)},
                        count=count,
                    )
                )
        return pools

    def _texts(self, count: int) -> dict[str, str]:
        """Return host to the text that ``compute_nodes`` would have.

        :param count: number of pools; pools that no request matches make up
            the number.
        """
        others = [
            nova_objects.PciDevicePool(
                vendor_id='15b3',
                product_id=f'{number:04x}',
                numa_node=number % 2,
                tags={'dev_type': 'type-PCI', 'number': str(number)},
                count=4,
            )
            for number in range(count)
        ]
        texts = {}
        for name in self.names:
            pools = self.pools[name]
            texts[name] = _text([*pools, *others[len(pools) :]])
        return texts

    def compare(
        self, wanted: Mapping[str, int], pools: int, *, numa: bool = False
    ) -> timing.Rows:
        """Measure requests both ways.

        :param wanted: PCI flavor to number of devices.
        :param pools: number of pools of each host.
        :param numa: whether the hosts have a NUMA topology; Nova's filter
            copies it for each host.
        """
        topology = _topology() if numa else None
        native = _spec(_native_request(name, n) for name, n in wanted.items())
        ours = _spec(self._our_request(name, n) for name, n in wanted.items())
        ours_first = scheduler_filter.PciFlavorFilter()
        novas = pci_passthrough_filter.PciPassthroughFilter()
        texts = self._texts(pools)
        none = dict.fromkeys(self.names, _text([]))

        def novas_way() -> set[str]:
            hosts = _host_states(texts, topology)
            return {host.host for host in novas.filter_all(hosts, native)}

        def our_way() -> set[str]:
            hosts = _host_states(none, topology)
            some = ours_first.filter_all(hosts, ours)
            return {host.host for host in novas.filter_all(some, ours)}

        expected = novas_way()
        if our_way() != expected or not 0 < len(expected) < len(self.names):
            raise SystemExit(f'{dict(wanted)}: the answers differ')
        ms = timing.medians(
            {
                'novas': novas_way,
                'ours': our_way,
                'both': lambda: _host_states(none, topology),
            },
            rounds=5,
        )
        what = ' + '.join(f'{n} x {name}' for name, n in wanted.items())
        place = ', NUMA topology' if numa else ''
        title = f'{what}{place}, {len(self.names)} hosts'
        novas_ms = ms['novas'] - ms['both']
        ours_ms = ms['ours'] - ms['both']
        against = f'Nova with {pools} pools on each'
        return [
            (title, f'{against}, {ms["novas"]:.0f} ms',
             ms['ours'], ms['novas'] / ms['ours']),
            ('... without host states', f'{against}, {novas_ms:.0f} ms',
             ours_ms, novas_ms / ours_ms),
        ]  # fmt: skip

    def compare_pinned(self) -> timing.Rows:
        """Measure what instances without PCI devices cost.

        The ratio is below 1: it is the share of the time that Nova needs
        without PciFlavorFilter.
        """
        topology = _topology()
        none = dict.fromkeys(self.names, _text([]))
        spec = _pinned_spec()
        ours_first = scheduler_filter.PciFlavorFilter()
        novas = numa_topology_filter.NUMATopologyFilter()
        fit = hardware.numa_fit_instance_to_host

        def alone() -> int:
            hardware.numa_fit_instance_to_host = fit.__wrapped__
            hosts = _host_states(none, topology)
            passed = list(novas.filter_all(hosts, spec))
            hardware.numa_fit_instance_to_host = fit
            return len(passed)

        def both() -> int:
            hosts = ours_first.filter_all(_host_states(none, topology), spec)
            return len(list(novas.filter_all(hosts, spec)))

        both()
        while not ours_first._free.get(3600):
            time.sleep(0.1)
        if not alone() == both() == len(self.names):
            raise SystemExit('pinned instances: the answers differ')
        ms = timing.medians({'alone': alone, 'both': both}, rounds=5)
        asked = client.conductor()
        once = timing.medians(
            {
                'nodes': asked.free_by_numa_node,
                'hosts': asked.hosts_with_devices,
                'one': lambda: asked.offer([], self.names[:1]),
                'small': lambda: asked.host_devices('nowhere'),
            },
            rounds=5,
        )
        return [
            (f'pinned without devices, {len(self.names)} hosts',
             f'NUMATopologyFilter alone, {ms["alone"]:.0f} ms',
             ms['both'], ms['alone'] / ms['both']),
            ('... its background call, all hosts',
             f'hosts_with_devices, {once["hosts"]:.0f} ms',
             once['nodes'], once['hosts'] / once['nodes']),
            ('... its call in nova-compute',
             f'a small call, {once["small"]:.1f} ms',
             once['one'], once['small'] / once['one']),
        ]  # fmt: skip

    def _our_request(self, name: str, count: int) -> Any:
        flavor = lookup.get(self.db, name)
        return nova_objects.InstancePCIRequest(
            count=count,
            alias_name=name,
            spec=[{'pci_flavor': flavor.uuid, 'pci_flavor_name': name}],
            request_id=uuidutils.generate_uuid(),
            numa_policy=None,
        )


def _native_request(name: str, count: int) -> Any:
    return nova_objects.InstancePCIRequest(
        count=count,
        alias_name=name,
        spec=[_KINDS[name][1]],
        request_id=uuidutils.generate_uuid(),
        numa_policy='legacy',
    )


def _spec(requests: Any) -> Any:
    return nova_objects.RequestSpec(
        instance_uuid=uuidutils.generate_uuid(),
        flavor=nova_objects.Flavor(extra_specs={}),
        image=nova_objects.ImageMeta(properties=nova_objects.ImageMetaProps()),
        numa_topology=None,
        pci_requests=nova_objects.InstancePCIRequests(requests=list(requests)),
    )


def _pinned_spec() -> Any:
    """Return a request for two instances with a NUMA topology."""
    spec = _spec([])
    spec.num_instances = 2
    spec.numa_topology = nova_objects.InstanceNUMATopology(
        cells=[
            nova_objects.InstanceNUMACell(
                id=0,
                cpuset=set(),
                pcpuset={0, 1},
                memory=1,
                pagesize=None,
                cpu_policy='dedicated',
            )
        ]
    )
    return spec


def _text(pools: list[Any]) -> str:
    pool_list = nova_objects.PciDevicePoolList(objects=pools)
    return str(jsonutils.dumps(pool_list.obj_to_primitive()))


def _host_states(texts: Mapping[str, str], topology: Any) -> list[Any]:
    hosts = []
    for name, text in texts.items():
        host = host_manager.HostState(name, name, None)
        host.numa_topology = topology
        host.ram_allocation_ratio = host.cpu_allocation_ratio = 1.0
        host.pci_stats = nova_stats.PciDeviceStats(
            topology, stats=pci_device_pool.from_pci_stats(text)
        )
        host.allocation_candidates = [{'mappings': {}}]
        hosts.append(host)
    return hosts


def _topology() -> Any:
    return nova_objects.NUMATopology(
        cells=[
            nova_objects.NUMACell(
                id=node,
                socket=node,
                cpuset=set(),
                pcpuset=set(range(32 * node, 32 * node + 32)),
                memory=256 * 1024,
                cpu_usage=0,
                memory_usage=0,
                pinned_cpus=set(),
                siblings=[
                    {cpu, cpu + 16} for cpu in range(32 * node, 32 * node + 16)
                ],
                mempages=[
                    nova_objects.NUMAPagesTopology(
                        size_kb=size, total=1024, used=0, reserved=0
                    )
                    for size in (4, 2048, 1048576)
                ],
            )
            for node in range(2)
        ]
    )


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--hosts', type=int, default=2000)
    parser.add_argument('--candidates', type=int, default=1000)
    parser.add_argument('--pools', default='16,64')
    parser.add_argument('--databases', default='sqlite')
    args = parser.parse_args()
    config.parse_args([], [], configure_db=False, init_rpc=False)
    nova_objects.register_all()
    for name in args.databases.split(','):
        with bench._urls(name) as (url, _):
            clouds = Clouds(url, args.hosts, args.candidates)
            rows = [
                row
                for pools in map(int, args.pools.split(','))
                for wanted, numa in (
                    ({'gpu': 1}, False),
                    ({'vf': 4, 'disk': 4}, False),
                    ({'gpu': 1}, True),
                )
                for row in clouds.compare(wanted, pools, numa=numa)
            ]
            rows += clouds.compare_pinned()
            clouds.db.close()
        devices = args.hosts * cloud.DEVICES_PER_HOST
        bench._print(f'{name}: {devices} devices, {args.hosts} hosts', rows)


if __name__ == '__main__':
    main()
