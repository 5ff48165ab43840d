# SPDX-License-Identifier: Apache-2.0
"""Pools equal a plain count of all rows, and are read from the index."""

import collections
from collections.abc import Collection
import itertools
import random
from typing import Any

from oslo_utils import uuidutils
import sqlalchemy as sa
import testscenarios

from pci_passthrough import claims as claims_rules
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store import live_hosts
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store.claims import starts
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import reports
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

#: Digest of the pool key of ``base.gpu(1)``, as the first release computed it.
_DIGEST = '1cb4958d65c2704b6adf408ba688ce947ff4767d04f1daa4c4915c8cdd3da027'


def free_devices(
    devices: Collection[objects.PciDevice], instance: str | None = None
) -> list[objects.PciDevice]:
    """Return the devices that can be claimed, by the plain rule.

    :param instance: by this instance; None means by a new one.
    """
    held = {
        (d.host, address)
        for d in devices
        for address in (d.address, d.parent_addr)
        if d.status != 'available'
    }
    held_pfs = {
        (d.host, d.address) for d in devices if d.status != 'available'
    }
    taken_groups = {
        (d.host, d.iommu_group)
        for d in devices
        if d.iommu_group is not None
        and d.status != 'available'
        and (instance is None or d.instance_uuid != instance)
    }
    return [
        d
        for d in devices
        if (d.status, d.presence) == ('available', 'offered')
        and d.disabled_reason is None
        and (d.host, d.address) not in held
        and (d.host, d.parent_addr) not in held_pfs
        and (d.host, d.iommu_group) not in taken_groups
    ]


def counted(
    devices: Collection[objects.PciDevice],
) -> dict[tuple[str, objects.PoolKey], int]:
    """Count devices by host and pool key."""
    return dict(
        collections.Counter((d.host, objects.PoolKey.of(d)) for d in devices)
    )


def key_of(pool: objects.PciDevicePool) -> tuple[str, objects.PoolKey]:
    """Return the properties that identify a pool."""
    values = {name: getattr(pool, name) for name in objects.POOL_FIELDS}
    tags = tuple(sorted(pool.extra_info.items()))
    return pool.host, objects.PoolKey(**values, extra_info=tags)


class CountTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.flavors()

    def test_random_fleets(self) -> None:
        states: set[str] = set()
        for seed in range(4):
            self._grow(random.Random(seed))
            devices = lookup.get_all(self.db)
            states |= {device.state for device in devices}
            states |= {
                'failed' for d in free_devices(devices) if d.failed_starts
            }
            self._compare(devices, None)
            names = sorted({d.host for d in devices})
            self._compare(devices, names[::2])
            self._compare(devices, [*names, *map(str, range(600))])
            self._compare(devices, [])
            self._compare_supplies(devices)
            self._compare_proven(devices)
            self._compare_numa_nodes(devices)
            self._compare_answers(names)
        # The fleets are not the same if the code around them changes.
        self.assertEqual(
            set(),
            {'claimed', 'cleaning', 'quarantined', 'disabled', 'failed'}
            - states,
        )

    def test_digests(self) -> None:
        """Conductors of earlier releases find keys without later fields."""
        self.report('h', [base.gpu(1), base.gpu(2, vgpu_type='558')])
        keys = models.pool_keys
        with self.db.read() as connection:
            digests = dict(
                connection.execute(
                    sa.select(keys.c.vgpu_type, keys.c.digest)
                ).all()
            )
        self.assertEqual(_DIGEST, digests[None])
        self.assertEqual({None, '558'}, digests.keys())

    def test_hosts_that_are_down(self) -> None:
        self.report('h', [base.gpu(1)])
        self.assertEqual([], list(self._pools(limits=store.Limits(0))))
        demands = self._demands('gpu')
        self.assertEqual(
            [], self._pools(limits=store.Limits(0)).supports_requests(demands)
        )
        self.assertEqual(['h'], self._pools().supports_requests(demands))

    def test_many_hosts(self) -> None:
        names = [f'h{n}' for n in range(1100)]
        self.report('h0', [base.gpu(1), base.gpu(2)])
        self._copy_host(names[1:])
        for wanted in (names[:400], names[:300], names[:900], names):
            with self.db.read() as connection:
                self.db.catalog.refresh(connection)
                supplies = counting.supply(
                    connection,
                    self.db.catalog,
                    self.db.catalog.ids(),
                    base.LIMITS,
                    [*wanted, *(f'x{n}' for n in range(300))],
                )
            self.assertEqual(set(wanted), supplies.keys())
            counts = {
                sum(supply.free.values()) for supply in supplies.values()
            }
            self.assertEqual({2}, counts)

    def test_no_keys(self) -> None:
        self.report('h', [base.gpu(1)])
        with self.db.read() as connection:
            self.db.catalog.refresh(connection)
            self.assertEqual(
                {},
                counting.supply(connection, self.db.catalog, (), base.LIMITS),
            )

    def _pools(self, **changes: Any) -> store.PciDevicePoolList:
        arguments = {'limits': base.LIMITS, 'hosts': None} | changes
        return store.PciDevicePoolList.get_by_hosts(self.db, **arguments)

    def _demands(self, *names: str) -> list[claims_rules.Demand]:
        return resolving.demands(
            self.db, [base.request(name) for name in names]
        )

    def _compare(
        self,
        devices: Collection[objects.PciDevice],
        names: Collection[str] | None,
    ) -> None:
        asked = [d for d in devices if names is None or d.host in names]
        listed = self._pools(hosts=names)
        self.assertEqual(
            counted(asked), {key_of(pool): pool.total for pool in listed}
        )
        self.assertEqual(
            counted(free_devices(asked)),
            {key_of(pool): pool.count for pool in listed if pool.count},
        )

    def _compare_supplies(
        self, devices: Collection[objects.PciDevice]
    ) -> None:
        """Compare the counts of each PCI flavor's supply."""
        free = counted(free_devices(devices))
        for name in base.FLAVORS:
            (demand,) = self._demands(name)
            key_ids = demand.alternatives[0].key_ids
            with self.db.read() as connection:
                supplies = counting.supply(
                    connection, self.db.catalog, key_ids, base.LIMITS
                )
            self.assertEqual(
                {k: n for k, n in free.items() if self._id(k[1]) in key_ids},
                {
                    (host, self.db.catalog[key_id]): count
                    for host, supply in supplies.items()
                    for key_id in key_ids
                    if (count := supply.total({key_id}))
                },
                name,
            )

    def _compare_proven(self, devices: Collection[objects.PciDevice]) -> None:
        """Compare the supplies of hosts with free devices that have failed."""
        free = free_devices(devices)
        for name in base.FLAVORS:
            (demand,) = self._demands(name)
            key_ids = demand.alternatives[0].key_ids
            wanted = [
                d for d in free if self._id(objects.PoolKey.of(d)) in key_ids
            ]
            doubted = {d.host for d in wanted if d.failed_starts}
            with self.db.read() as connection:
                supplies = counting.with_failed_starts(
                    connection, key_ids, live_hosts.known(connection)
                )
            self.assertEqual(doubted, supplies.keys())
            for index, of_host in (
                (0, wanted),
                (1, [d for d in wanted if not d.failed_starts]),
            ):
                self.assertEqual(
                    counted([d for d in of_host if d.host in doubted]),
                    {
                        (host, self.db.catalog[key_id]): count
                        for host, both in supplies.items()
                        for key_id in key_ids
                        if (count := both[index].total({key_id}))
                    },
                )

    def _compare_numa_nodes(
        self, devices: Collection[objects.PciDevice]
    ) -> None:
        expected: dict[str, dict[int, int]] = {}
        for device in free_devices(devices):
            if device.numa_node is not None:
                nodes = expected.setdefault(device.host, {})
                nodes[device.numa_node] = nodes.get(device.numa_node, 0) + 1
        self.assertEqual(expected, counting.free_by_numa_node(self.db))

    def _compare_answers(self, names: Collection[str]) -> None:
        """Exactly the hosts that can serve a request are returned."""
        for wanted in (['gpu'], ['pf', 'vf'], ['nic', 'nic', 'big']):
            able = self._pools().supports_requests(self._demands(*wanted))
            for host in names:
                self.assertEqual(host in able, self._can_claim(host, wanted))

    def _can_claim(self, host: str, wanted: list[str]) -> bool:
        owner = uuidutils.generate_uuid()
        try:
            self.claim(host, *map(base.request, wanted), instance_uuid=owner)
        except exception.ClaimRefused:
            return False
        transitions.free(self.db, owner, 'test', host)
        return True

    def _id(self, key: objects.PoolKey) -> int:
        return next(
            i for i in self.db.catalog.ids() if self.db.catalog[i] == key
        )

    def _grow(self, rnd: random.Random) -> None:
        """Make hosts, hold some devices, take some away."""
        for number in range(4):
            host = f'h{number}'
            fleet = [
                base.gpu(
                    n,
                    numa_node=rnd.choice((0, 1, None)),
                    extra_info=rnd.choice(({}, {'size': 'big'})),
                )
                for n in range(1, rnd.randrange(2, 7))
            ]
            for bus in range(0x20, 0x20 + rnd.randrange(1, 4)):
                fleet += base.family(bus, rnd.randrange(0, 4))
            fleet += [base.token(n) for n in range(rnd.randrange(0, 3))]
            fleet += [base.vgpu(0x30, n) for n in range(rnd.randrange(0, 4))]
            fleet = [
                d.replace(iommu_group=rnd.choice((1, 2, 3, None)))
                if rnd.random() < 0.4
                else d
                for d in fleet
            ]
            fleet = [
                d.replace(handlers=['reset']) if rnd.random() < 0.3 else d
                for d in fleet
            ]
            self.report(host, fleet)
            self._prepare(rnd, host)
            self._hold(rnd, host)
            kept = [device for device in fleet if rnd.random() < 0.8]
            withdrawn = [d.address for d in fleet if rnd.random() < 0.1]
            self.report(
                host,
                [d for d in kept if d.address not in withdrawn],
                withdrawn=withdrawn,
            )

    def _prepare(self, rnd: random.Random, host: str) -> None:
        """Let handlers be done with most devices; the others are cleaning."""
        for todo in preparing.due(self.db, host):
            if rnd.random() < 0.7:
                preparing.prepared(
                    self.db,
                    base.POLICY.bounds,
                    host,
                    todo.address,
                    todo.fence,
                    True,
                    '',
                )

    def _hold(self, rnd: random.Random, host: str) -> None:
        for name in rnd.choices(
            ('gpu', 'vf', 'pf', 'big', 'token', 'vgpu'), k=8
        ):
            owner = uuidutils.generate_uuid()
            try:
                self.claim(host, base.request(name), instance_uuid=owner)
            except exception.ClaimRefused:
                continue
            if rnd.random() < 0.4:
                starts.failed(self.db, host, owner, 'busy', 'test')
                transitions.free(self.db, owner, 'test', host)
        for device in lookup.get_all(self.db, host, state='available'):
            if rnd.random() < 0.1:
                operators.disable(self.db, device.uuid, 'hot', 'op')
            elif rnd.random() < 0.1:
                operators.move(self.db, device.uuid, 'quarantine', 'x', 'op')

    def _copy_host(self, names: Collection[str]) -> None:
        """Add hosts like the first by SQL, which is faster than reports."""
        nodes, table = models.compute_nodes, models.pci_devices
        with self.db.write() as connection:
            node = connection.execute(sa.select(nodes)).mappings().one()
            rows = connection.execute(sa.select(table)).mappings().all()
            connection.execute(
                nodes.insert(),
                [_without(node, 'id') | {'host': name} for name in names],
            )
            ids = connection.execute(
                sa.select(nodes.c.id).where(nodes.c.id != node['id'])
            ).scalars()
            connection.execute(
                table.insert(),
                [
                    _without(row, 'id', 'free_key')
                    | {
                        'compute_node_id': node_id,
                        'uuid': uuidutils.generate_uuid(),
                    }
                    for node_id in ids
                    for row in rows
                ],
            )


def _without(row: Any, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in row if name not in names}


class PlanTest(base.StoreTest):
    scenarios = [s for s in base.SCENARIOS if s[0] != 'postgresql']

    def test_counts_come_from_the_index(self) -> None:
        self.report('h', [*base.family(3, 4), base.gpu(1)])
        with self.db.read() as connection:
            self.db.catalog.refresh(connection)
            statements: list[tuple[str, Any]] = []
            sa.event.listen(
                connection,
                'before_cursor_execute',
                lambda c, cursor, text, values, *_: statements.append(
                    (text, values)
                ),
            )
            for dev_type, (hosts, index) in itertools.product(
                ('type-PCI', 'type-VF', 'type-PF'),
                (
                    (None, 'ix_pci_devices_group'),
                    (['h'], 'ix_pci_devices_sharing'),
                ),
            ):
                key_ids = [
                    i
                    for i in self.db.catalog.ids()
                    if self.db.catalog[i].dev_type == dev_type
                ]
                counting.supply(
                    connection, self.db.catalog, key_ids, base.LIMITS, hosts
                )
                plan = self._plan(connection, *statements[-1])
                self.assertIn('ix_pci_devices_free', plan)
                self.assertIn(index, plan)
                self.assertNotIn('SCAN pci_devices', plan)
                self._check_covered(plan)

    def _plan(self, connection: sa.Connection, text: str, values: Any) -> str:
        explain = 'EXPLAIN ' if self.server else 'EXPLAIN QUERY PLAN '
        rows = connection.exec_driver_sql(explain + text, values)
        return '\n'.join(str(row) for row in rows)

    def _check_covered(self, plan: str) -> None:
        """Only the index is read.

        SQLite never takes an index for covering that has a generated column.
        """
        for line in plan.splitlines():
            if self.server and 'ix_pci_devices_free' in line:
                self.assertIn('Using index', line)


class CatalogTestCase(base.StoreTest):
    """A test of a process's copy of the pool keys."""

    def _refresh(self) -> None:
        with self.db.read() as connection:
            self.db.catalog.refresh(connection)

    def _known(self) -> set[objects.PoolKey]:
        return {self.db.catalog[i] for i in self.db.catalog.ids()}


class ConcurrentCatalogTest(CatalogTestCase):
    """Two writers at a time, which SQLite does not have."""

    scenarios = base.SERVERS

    def test_ids_committed_out_of_order(self) -> None:
        # Never seen before: MariaDB locks the neighbourhood of a key that was
        # deleted a moment ago, and the other_key would wait for each other.
        key, other_key = (
            objects.PoolKey.of(base.gpu(1, extra_info={'n': base.new_id()}))
            for _ in range(2)
        )
        first, second = self.open(), self.open()
        with first.write() as early:
            pool_keys.ensure(early, [key])
            with second.write() as late:
                pool_keys.ensure(late, [other_key])
            self._refresh()
            self.assertEqual({other_key}, self._known())
        self._refresh()
        self.assertEqual({key, other_key}, self._known())
        lowest = min(self.db.catalog.ids())
        self.assertEqual(key, self.db.catalog[lowest])


class CatalogTest(CatalogTestCase):
    def test_keys_of_another_process(self) -> None:
        self.flavors()
        self.report('h', [base.gpu(1)])
        self.claim('h', base.request('gpu'))
        other = self.open()
        reports.apply(
            other,
            base.full_report('h', [base.gpu(1), base.gpu(2, driver='x')]),
        )
        self.claim('h', base.request('gpu'))

    def test_purge(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2, numa_node=1)])
        self.report('h', [base.gpu(2, numa_node=1)])
        self._refresh()
        self.assertEqual(2, len(self._known()))
        self.assertEqual(1, pool_keys.purge(self.db))
        self._refresh()
        self.assertEqual(1, len(self._known()))
        self.report('h', [base.gpu(1), base.gpu(2, numa_node=1)])
        self._refresh()
        self.assertEqual(2, len(self._known()))
