# SPDX-License-Identifier: Apache-2.0
"""Measure the hot paths against what the database could do at best.

Each figure is a median of interleaved runs in this one process, and each
answer is checked: a query that is fast and wrong ends the benchmark.
"""

import argparse
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
import contextlib
import itertools
import os
import random
import tempfile
from typing import Any

from oslo_utils import uuidutils
import prettytable
import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.services import endpoint
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting
from pci_passthrough.tests.bench import cloud
from pci_passthrough.tests.bench import in_process
from pci_passthrough.tests.bench import timing
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.unit.rpc import driver

#: Nothing is ever down: the cloud reports once.
_LIMITS = store.Limits(10 * 86400.0, 10 * 86400.0)

#: In a cloud with shared IOMMU groups, every so many-th host has some.
_GROUPED_HOSTS = 10

#: Candidates that a query lists, instead of filtering its answer.
_FEW_HOSTS = 20


def _request(name: str, count: int) -> objects.PciRequest:
    return objects.PciRequest(
        request_id=uuidutils.generate_uuid(),
        count=count,
        pci_flavors=[name],
        numa_policy=None,
    )


class Benchmark:
    """One database with a cloud in it.

    :param grouped_hosts: see ``cloud.fill``.
    """

    def __init__(
        self,
        url: str,
        hosts: int,
        candidates: int,
        grouped_hosts: int | None = None,
    ) -> None:
        self.db = database.Writer(url)
        schema.sync(self.db)
        cloud.fill(self.db, hosts, grouped_hosts)
        self._analyze()
        for name, match in (
            ('gpu', {'vendor_id': '10de', 'product_id': '2330'}),
            ('vf', {'dev_type': 'type-VF', 'e.physical_network': 'physnet1'}),
            ('disk', {'class': 'storage'}),
        ):
            editing.create(self.db, name, None, match=[match])
        numbers = random.Random(7).sample(range(hosts), candidates)
        self.hosts = {cloud.host_name(number) for number in numbers}
        #: candidates whose devices share groups, if any do, and others
        self.grouped, self.others = (
            [
                cloud.host_name(number)
                for number in sorted(numbers)
                if (number % _GROUPED_HOSTS == 0) is in_groups
            ]
            for in_groups in (True, False)
        )

    def run(self) -> timing.Rows:
        """Measure everything; return (what, against what, ms, ratio)."""
        return [
            *self._pools('gpu'),
            *self._pools('vf'),
            *self._scheduling({'gpu': 1}),
            *self._scheduling({'vf': 4, 'disk': 4}),
            *self._scheduling({'gpu': 1}, numa_node=1),
            *self._claims(),
        ]

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

    def _pools(self, name: str) -> timing.Rows:
        """Pools of one PCI flavor on the candidate hosts."""
        demands = resolving.demands(self.db, [_request(name, 1)])
        key_ids = demands[0].alternatives[0].key_ids
        query = self.pool_query(name)

        def decide() -> int:
            fresh = resolving.demands(self.db, [_request(name, 2)])
            with self.db.read() as connection:
                supplies = counting.supply(
                    connection, self.db.catalog, key_ids, _LIMITS, self.hosts
                )
            get_key = self.db.catalog.__getitem__
            return sum(
                claims.decide(supply, fresh, get_key) is not None
                for supply in supplies.values()
            )

        answer = query()
        able = sum(count >= 2 for count in answer.values())
        if decide() != able:
            raise SystemExit(f'{name}: the decision is wrong')
        bare = self._statement(key_ids, naive=False)
        naive = self._statement(key_ids, naive=True)
        ms = timing.medians(
            {'query': query, 'bare': bare, 'naive': naive, 'decide': decide}
        )
        what = f'pools of {name}, {len(self.hosts)} hosts'
        return [
            (what, 'bare COUNT(*) over the free devices', ms['query'],
             ms['query'] / ms['bare']),
            (what, 'naive GROUP BY of all hosts (higher: better)',
             ms['query'], ms['naive'] / ms['query']),
            (f'whole decision: 2 x {name}', 'its pool query', ms['decide'],
             ms['decide'] / ms['query']),
        ]  # fmt: skip

    def pool_query(
        self, name: str, hosts: Collection[str] | None = None
    ) -> Callable[[], dict[str, int]]:
        """Return the counts of a PCI flavor on the candidates, to be timed.

        The answer has been checked.

        :param hosts: some of the candidates; None means all.
        """
        demands = resolving.demands(self.db, [_request(name, 1)])
        key_ids = demands[0].alternatives[0].key_ids
        asked = self.hosts if hosts is None else hosts

        def query() -> dict[str, int]:
            with self.db.read() as connection:
                supplies = counting.supply(
                    connection, self.db.catalog, key_ids, _LIMITS, asked
                )
            return {host: s.total(key_ids) for host, s in supplies.items()}

        counted = self._count_in_python(key_ids)
        if query() != {h: n for h, n in counted.items() if h in asked}:
            raise SystemExit(f'{name}: the pool query is wrong')
        return query

    def _scheduling(
        self, wanted: dict[str, int], numa_node: int | None = None
    ) -> timing.Rows:
        """Ask a conductor and decide as the scheduler does.

        Messages are serialized, but sent without a broker.

        :param wanted: number of devices by PCI flavor.
        :param numa_node: the instance's NUMA node; None means that it has no
            NUMA topology.
        """
        requests = [_request(name, count) for name, count in wanted.items()]
        names = sorted(self.hosts)
        policy = store.Policy(_LIMITS)
        conductor = driver.Dispatcher(
            endpoint.ConductorEndpoint(self.db, policy)
        )
        client, _ = driver.client(conductor.answer)
        numa = None
        if numa_node is not None:
            numa = objects.NumaAffinity(
                nodes=[numa_node], socket_nodes=[numa_node]
            )

        def schedule() -> set[str]:
            offer = client.offer(requests, names)
            return {name for name in names if offer.decide(name, numa)}

        able, all_keys = self._able_hosts(requests, numa_node)
        if schedule() != able:
            raise SystemExit(f'{wanted}: the scheduling is wrong')
        ms = timing.medians(
            {
                'schedule': schedule,
                'bare': self._statement(all_keys, naive=False),
                'message': lambda: client.host_devices('nobody'),
            }
        )
        request = ' + '.join(f'{n} x {name}' for name, n in wanted.items())
        place = '' if numa_node is None else ', NUMA'
        what = f'scheduling: {request}{place}, {len(names)} hosts'
        return [
            (what, 'bare COUNT(*) over the free devices', ms['schedule'],
             ms['schedule'] / ms['bare']),
            (what, 'a message with one small query', ms['schedule'],
             ms['schedule'] / ms['message']),
        ]  # fmt: skip

    def _statement(
        self, key_ids: frozenset[int], *, naive: bool
    ) -> Callable[[], Any]:
        devices, keys = models.pci_devices, models.pool_keys
        if naive:
            statement = (
                sa.select(
                    devices.c.compute_node_id,
                    keys.c.vendor_id,
                    keys.c.product_id,
                    keys.c.numa_node,
                    keys.c.extra_info,
                    sa.func.count(),
                )
                .join(keys, keys.c.id == devices.c.pool_key_id)
                .where(devices.c.status == 'available')
                .group_by(*_naive_columns())
            )
        else:
            statement = sa.select(sa.func.count()).where(
                devices.c.free_key.in_(sorted(key_ids))
            )

        def run() -> Any:
            with self.db.read() as connection:
                return connection.execute(statement).all()

        return run

    def _count_in_python(self, key_ids: frozenset[int]) -> dict[str, int]:
        """Count the slow way: every row, one by one."""
        devices, nodes = models.pci_devices, models.compute_nodes
        statement = sa.select(
            nodes.c.host,
            devices.c.address,
            devices.c.parent_addr,
            devices.c.pool_key_id,
            devices.c.status,
            devices.c.shared_group,
        ).join(nodes, nodes.c.id == devices.c.compute_node_id)
        with self.db.read() as connection:
            rows = connection.execute(statement).all()
        held = {
            (host, place)
            for host, address, _, _, status, group in rows
            for place in (address, group)
            if status != 'available' and place is not None
        }
        counts: dict[str, int] = {}
        for host, address, parent, key_id, _, group in rows:
            if (
                host in self.hosts
                and key_id in key_ids
                and (host, address) not in held
                and (host, parent) not in held
                and (host, group) not in held
            ):
                counts[host] = counts.get(host, 0) + 1
        return counts

    def _able_hosts(
        self, requests: list[objects.PciRequest], numa_node: int | None
    ) -> tuple[set[str], frozenset[int]]:
        """Return the hosts that can serve requests, by a plain count.

        :returns: their names, and all pool keys that serve the requests.
        """
        counts = []
        all_keys: frozenset[int] = frozenset()
        for demand in resolving.demands(self.db, requests):
            key_ids = demand.alternatives[0].key_ids
            all_keys |= key_ids
            near = key_ids
            if numa_node is not None:
                near = frozenset(
                    key_id
                    for key_id in key_ids
                    if self.db.catalog[key_id].numa_node == numa_node
                )
            counts.append((demand.count, self._count_in_python(near)))
        able = {
            name
            for name in self.hosts
            if all(free.get(name, 0) >= count for count, free in counts)
        }
        return able, all_keys

    def _claims(self) -> timing.Rows:
        """A claim of four devices against an UPDATE of four rows."""
        turns = iter(range(10**6))
        devices = models.pci_devices
        with self.db.read() as connection:
            ids = list(
                connection.execute(
                    sa.select(devices.c.id).limit(2000)
                ).scalars()
            )

        claim = self.disks_claim(self.others)

        def update() -> None:
            four = random.Random(next(turns)).sample(ids, 4)
            with self.db.write() as connection:
                connection.execute(
                    devices.update()
                    .where(devices.c.id.in_(four))
                    .values(updated_at=database.now())
                )

        ms = timing.medians({'claim': claim, 'update': update}, rounds=60)
        return [
            ('claim of 4 devices', 'bare UPDATE of 4 rows', ms['claim'],
             ms['claim'] / ms['update']),
        ]  # fmt: skip

    def disks_claim(self, names: list[str]) -> Callable[[], None]:
        """Return a claim of a host's four disks, to be timed.

        :param names: hosts; each call takes the next one.
        """
        policy = store.Policy(_LIMITS)
        hosts = iter(names)

        def claim() -> None:
            instance = uuidutils.generate_uuid()
            held = claiming.claim(
                self.db, policy, claims.ClaimRequest(next(hosts), instance,
                [_request('disk', 4)], 'bench'),
            )  # fmt: skip
            if len({device.uuid for device in held}) != 4:
                raise SystemExit('the claim is wrong')

        return claim


def shared_groups(plain: Benchmark, grouped: Benchmark) -> timing.Rows:
    """Compare two clouds that differ only in shared IOMMU groups."""
    rows = []
    few = sorted(plain.hosts)[:_FEW_HOSTS]
    for name, hosts in itertools.product(
        ('gpu', 'disk', 'vf'), (plain.hosts, few)
    ):
        ms = timing.medians(
            {
                'grouped': grouped.pool_query(name, hosts),
                'plain': plain.pool_query(name, hosts),
            },
            rounds=41,
        )
        what = f'pools of {name}, {len(hosts)} hosts, shared groups'
        rows.append((what, ms))
    ms = timing.medians(
        {
            'grouped': grouped.disks_claim(grouped.grouped),
            'plain': plain.disks_claim(plain.grouped),
        },
        rounds=min(60, len(plain.grouped) - 1),
    )
    rows.append(('claim of 4 devices in shared groups', ms))
    return [
        (what, 'the same without shared groups', ms['grouped'],
         ms['grouped'] / ms['plain'])
        for what, ms in rows
    ]  # fmt: skip


def _naive_columns() -> list[sa.ColumnElement[Any]]:
    keys = models.pool_keys
    return [
        models.pci_devices.c.compute_node_id,
        keys.c.vendor_id,
        keys.c.product_id,
        keys.c.numa_node,
        keys.c.extra_info,
    ]


@contextlib.contextmanager
def _urls(name: str) -> Iterator[tuple[str, str]]:
    """Yield two empty databases of one server."""
    if name == 'sqlite':
        with tempfile.TemporaryDirectory() as folder:
            path = f'sqlite:///{os.path.join(folder, "bench")}'
            yield f'{path}.sqlite', f'{path}-grouped.sqlite'
        return
    kind = {'mariadb': servers.MariaDB, 'postgresql': servers.PostgreSQL}[name]
    with kind() as server:
        yield server.create_database(), server.create_database()


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--hosts', type=int, default=2000)
    parser.add_argument('--candidates', type=int, default=1000)
    parser.add_argument('--databases', default='sqlite,mariadb,postgresql')
    args = parser.parse_args()
    _print(
        'in this process',
        [*in_process.match_expressions(), *in_process.parse_listing()],
    )
    for name in args.databases.split(','):
        with _urls(name) as (url, other_url):
            bench = Benchmark(url, args.hosts, args.candidates)
            grouped = Benchmark(
                other_url, args.hosts, args.candidates, _GROUPED_HOSTS
            )
            rows = [*bench.run(), *shared_groups(bench, grouped)]
            bench.db.close()
            grouped.db.close()
        devices = args.hosts * cloud.DEVICES_PER_HOST
        _print(f'{name}: {devices} devices on {args.hosts} hosts', rows)


def _print(title: str, rows: timing.Rows) -> None:
    table = prettytable.PrettyTable(
        ['what', 'against', 'median ms', 'ratio'], title=title, align='l'
    )
    for what, against, ms, ratio in rows:
        table.add_row([what, against, f'{ms:.2f}', f'{ratio:.2f}'])
    print(table, flush=True)


if __name__ == '__main__':
    main()
