# SPDX-License-Identifier: Apache-2.0
"""Pages of devices, hosts and pools, and their filters."""

import itertools
from typing import Any

import testscenarios

from pci_passthrough import exception
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.store.views import device_pages
from pci_passthrough.store.views import pool_pages
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_BIG = {'size': 'big'}


class _PagesTest(base.ClaimTest):
    """Three hosts; one that is down, and one without devices."""

    def setUp(self) -> None:
        super().setUp()
        self.report('B', [base.gpu(1), *base.family(2, 2)])
        self.report('a', [base.gpu(2, numa_node=1), base.gpu(1)])
        self.report('c', [base.gpu(1, extra_info=_BIG)])
        self.report('empty', [])
        self.limits = base.LIMITS
        with self.db.write() as connection:
            nodes = models.compute_nodes
            connection.execute(
                nodes.update()
                .where(nodes.c.host == 'c')
                .values(last_report_at=database.now().replace(year=2000))
            )


class DevicePageTest(_PagesTest):
    def page(
        self, marker: str | None = None, limit: int = 1000, **filters: Any
    ) -> list[str]:
        """Return ``host/address`` of devices."""
        return lookup.addresses(
            device_pages.page(
                self.db,
                device_pages.DeviceFilter(**filters),
                marker,
                limit,
            )
        )

    def test_all_pages_together_are_everything(self) -> None:
        everything = lookup.addresses(lookup.get_all(self.db))
        self.assertEqual(7, len(everything))
        for limit in (1, 2, 6, 7, 8):
            seen: list[str] = []
            marker = None
            while some := self.page(marker, limit):
                self.assertTrue(len(some) <= limit)
                seen += some
                marker = lookup.get(self.db, some[-1]).uuid
            self.assertEqual(everything, seen)

    def test_marker_need_not_fit_the_filters(self) -> None:
        marker = lookup.get(self.db, 'B/0000:02:00.0').uuid
        everything = lookup.get_all(self.db)
        place = [device.uuid for device in everything].index(marker)
        self.assertEqual(
            lookup.addresses(
                [d for d in everything[place:] if d.vendor_id == '10de']
            ),
            self.page(marker, vendor_id='10de'),
        )

    def test_no_such_marker(self) -> None:
        for marker in (base.new_id(), 'x', 'a\0', '\ud800', ''):
            error = self.assertRaises(exception.Invalid, self.page, marker)
            self.assertIn('without a marker', error.text)

    def test_filters(self) -> None:
        for filters, expected in (
            ({'host': 'a'}, ['a/0000:01:00.0', 'a/0000:02:00.0']),
            ({'host': 'A'}, []),
            ({'host': 'a\0'}, []),
            ({'vendor_id': '8086', 'dev_type': 'type-PF'}, ['B/0000:02:00.0']),
            ({'numa_node': 1}, ['a/0000:02:00.0']),
            ({'numa_node': 10**30}, []),
            ({'address': '0000:02:00.0', 'host': 'B'}, ['B/0000:02:00.0']),
            ({'address': '\ud800'}, []),
            ({'pci_flavor': 'big'}, ['c/0000:01:00.0']),
            ({'pci_flavor': 'big', 'vendor_id': '8086'}, []),
            ({'product_id': '1592'}, ['B/0000:02:00.0']),
        ):
            self.assertEqual(expected, self.page(**filters))
        for name in ('pci_flavor', 'held_by'):
            self.assertRaises(
                exception.PciFlavorNotFound, self.page, **{name: 'nope\0'}
            )

    def test_owner(self) -> None:
        held = self.claim('a', base.request('gpu'), instance_uuid=self.owner)
        flavor = flavor_lookup.get(self.db, 'gpu')
        expected = lookup.addresses(held)
        for filters in (
            {'instance_uuid': self.owner},
            {'held_by': 'gpu'},
            {'held_by': flavor.uuid},
            {'states': ('claimed',)},
        ):
            self.assertEqual(expected, self.page(**filters))
        self.assertEqual([], self.page(held_by='big'))
        self.assertEqual([], self.page(instance_uuid='\ud800'))
        editing.delete(self.db, 'gpu', force=True)
        self.assertEqual(expected, self.page(held_by=flavor.uuid))

    def test_states_are_those_of_the_devices(self) -> None:
        """SQL and objects agree for each possible combination."""
        statuses = ('available', 'claimed', 'allocated', 'quarantined')
        presences = ('offered', 'withdrawn', 'missing')
        combinations = list(itertools.product(statuses, presences, (0, 1)))
        self.report('many', [base.gpu(n) for n in range(len(combinations))])
        devices = lookup.get_all(self.db, 'many')
        table = models.pci_devices
        with self.db.write() as connection:
            for device, (status, presence, disabled) in zip(
                devices, combinations, strict=True
            ):
                owned = status in ('claimed', 'allocated')
                connection.execute(
                    table.update()
                    .where(table.c.uuid == device.uuid)
                    .values(
                        status=status,
                        presence=presence,
                        disabled_reason='x' if disabled else None,
                        instance_uuid=self.owner if owned else None,
                    )
                )
        after = lookup.get_all(self.db, 'many')
        for states in [
            *((state,) for state in lifecycle.STATES),
            ('missing', 'disabled'),
        ]:
            self.assertEqual(
                lookup.addresses([d for d in after if d.state in states]),
                self.page(host='many', states=states),
            )

    def test_no_such_state(self) -> None:
        error = self.assertRaises(
            exception.Invalid, self.page, states=('free',)
        )
        self.assertIn('quarantined', error.text)


class HostPageTest(_PagesTest):
    def page(self, **arguments: Any) -> list[str]:
        return [h.host for h in hosts.page(self.db, base.TRACKED, **arguments)]

    def test_all_pages_together_are_everything(self) -> None:
        everything = [h.host for h in hosts.get_all(self.db, base.TRACKED)]
        for limit in (1, 2, 4, 5):
            seen: list[str] = []
            marker = None
            while some := self.page(marker=marker, limit=limit):
                seen += some
                marker = some[-1]
            self.assertEqual(everything, seen)

    def test_filters(self) -> None:
        self.assertEqual({'B', 'a', 'empty'}, set(self.page(is_up=True)))
        self.assertEqual(['c'], self.page(is_up=False))
        self.assertEqual(['a'], self.page(host='a', is_up=True))
        self.assertEqual([], self.page(host='a\0'))
        self.assertEqual(
            {'B': 4, 'a': 2, 'c': 1, 'empty': 0},
            {h.host: h.devices for h in hosts.page(self.db, base.TRACKED)},
        )

    def test_no_such_marker(self) -> None:
        for marker in ('x', 'a\0', '\ud800'):
            self.assertRaises(exception.Invalid, self.page, marker=marker)


class PoolPageTest(_PagesTest):
    def pools(self, **filters: Any) -> list[tuple[str, str | None, int, int]]:
        pools = pool_pages.find(
            self.db,
            self.limits,
            pool_pages.PoolFilter(**filters),
        )
        self.assertEqual(
            sorted((named.pool.host, named.key_id) for named in pools),
            [(named.pool.host, named.key_id) for named in pools],
        )
        self.assertEqual(len(pools), len({named.id for named in pools}))
        return [
            (p.pool.host, p.pool.dev_type, p.pool.count, p.pool.total)
            for p in pools
        ]

    def test_hosts_that_are_up(self) -> None:
        self.claim('a', base.request('gpu'))
        self.claim('B', base.request('vf'))
        self.assertEqual(
            [
                ('B', 'type-PCI', 1, 1),
                ('B', 'type-PF', 0, 1),
                ('B', 'type-VF', 1, 2),
                ('a', 'type-PCI', 0, 1),
                ('a', 'type-PCI', 1, 1),
            ],
            sorted(self.pools()),
        )

    def test_filters(self) -> None:
        gpus = [('a', 'type-PCI', 1, 1)] * 2
        for filters, expected in (
            ({'hosts': ('a', 'c', 'x\0')}, gpus),
            ({'hosts': ()}, []),
            ({'pci_flavor': 'vf'}, [('B', 'type-VF', 2, 2)]),
            ({'pci_flavor': 'big'}, []),
            ({'vendor_id': '10de', 'numa_node': 1}, gpus[:1]),
            ({'dev_type': 'type-PF'}, [('B', 'type-PF', 1, 1)]),
            ({'product_id': 'ffff'}, []),
        ):
            self.assertEqual(expected, self.pools(**filters))
        self.assertRaises(
            exception.PciFlavorNotFound, self.pools, pci_flavor='nope'
        )

    def test_all_pages_together_are_everything(self) -> None:
        def page(marker: str | None, limit: int | None) -> list[str]:
            pools = pool_pages.find(
                self.db,
                self.limits,
                pool_pages.PoolFilter(),
                marker,
                limit,
            )
            return [named.id for named in pools]

        everything = page(None, None)
        self.assertEqual(5, len(everything))
        for limit in (1, 2, 4, 5, 6):
            seen: list[str] = []
            marker = None
            while some := page(marker, limit):
                seen += some
                marker = some[-1]
            self.assertEqual(everything, seen)
        self.assertEqual([], page('zzz/1', None))
        self.assertEqual(everything, page('A\ud800/' + '9' * 5000, None))
        for nonsense in ('x', '/1', 'a/', 'a/b', 'a/-1', 'a/\u0661'):
            self.assertRaises(exception.Invalid, page, nonsense, None)

    def test_same_numbers_as_all_pools(self) -> None:
        self.claim('B', base.request('pf'))
        everything = self.pools()
        by_type = [
            pool
            for dev_type in ('type-PCI', 'type-PF', 'type-VF')
            for pool in self.pools(dev_type=dev_type)
        ]
        self.assertEqual(sorted(everything), sorted(by_type))
