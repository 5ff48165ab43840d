# SPDX-License-Identifier: Apache-2.0
"""Claims: what they take, what they refuse, and what may be repeated."""

from concurrent import futures
from typing import Any

import fixtures
from oslo_utils import uuidutils
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import claims
from pci_passthrough.store import devices
from pci_passthrough.store import explain
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import pci_flavors
from pci_passthrough.store import taking
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class ClaimTestBase(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.owner = uuidutils.generate_uuid()

    def refused(
        self, host: str, *requests: objects.PciRequest, **arguments: Any
    ) -> list[tuple[str, str, int, int]]:
        """Return (PCI flavor, condition, needed, left) of the reasons."""
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, host, *requests, **arguments
        )
        return [
            (r.pci_flavor, r.condition, r.needed, r.left)
            for r in error.reasons
        ]

    def free(self, *arguments: Any) -> list[objects.PciDevice]:
        """Free what the owner holds."""
        return claims.free(self.db, self.owner, 'test', *arguments)


class LifeTest(ClaimTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.report('h', [base.gpu(1), base.gpu(2), *base.family(3, 4)])
        self.requests = [base.request('gpu'), base.request('vf', count=2)]

    def test_claim_allocate_free(self) -> None:
        claimed = self._claim()
        self.assertEqual(
            {r.request_id: r.count for r in self.requests},
            {
                r.request_id: sum(
                    d.request_id == r.request_id for d in claimed
                )
                for r in self.requests
            },
        )
        self.assertEqual({'claimed'}, {d.state for d in claimed})
        names = {
            pci_flavors.get(self.db, str(d.pci_flavor_uuid)).name
            for d in claimed
        }
        self.assertEqual({'gpu', 'vf'}, names)
        allocated = claims.allocate(self.db, 'h', self.owner, 'test')
        self.assertEqual(base.addresses(claimed), base.addresses(allocated))
        self.assertEqual(
            allocated, claims.allocate(self.db, 'h', self.owner, 'test')
        )
        freed = self.free('h')
        self.assertEqual(base.addresses(claimed), base.addresses(freed))
        self.assertEqual({'available'}, set(self.states().values()))
        events = ledger.history(self.db, claimed[0].uuid)
        self.assertEqual(
            [
                ('claim', 'available', 'claimed'),
                ('allocate', 'claimed', 'allocated'),
                ('free', 'allocated', 'available'),
            ],
            [(e.action, e.from_state, e.to_state) for e in events[1:]],
        )
        self.assertEqual(
            {self.owner}, {event.instance_uuid for event in events[1:]}
        )

    def test_repeated_claim(self) -> None:
        first = self._claim()
        self.assertEqual(first, self._claim())
        claims.allocate(self.db, 'h', self.owner, 'test')
        self.assertEqual(base.addresses(first), base.addresses(self._claim()))

    def test_repeated_claim_for_something_else(self) -> None:
        self._claim()
        gpu, vf = self.requests
        for other in (
            base.request('gpu', count=2, request_id=gpu.request_id),
            base.request('pf', request_id=gpu.request_id),
            base.request('vf', count=1, request_id=vf.request_id),
        ):
            self.assertRaises(
                exception.ClaimMismatch,
                self.claim,
                'h',
                other,
                instance_uuid=self.owner,
            )

    def test_abort(self) -> None:
        self._claim()
        gpu, _ = self.requests
        claims.allocate(self.db, 'h', self.owner, 'test', [gpu.request_id])
        aborted = claims.abort(self.db, 'h', self.owner, 'test')
        self.assertEqual({'type-VF'}, {d.dev_type for d in aborted})
        self.assertEqual([], claims.abort(self.db, 'h', self.owner, 'test'))
        (held,) = devices.get_all(self.db, instance_uuid=self.owner)
        self.assertEqual('allocated', held.state)

    def test_free_some(self) -> None:
        self._claim()
        gpu, vf = self.requests
        self.assertEqual(1, len(self.free('h', [gpu.request_id])))
        self.assertEqual(2, len(self.free(None, [vf.request_id])))

    def test_free_on_all_hosts(self) -> None:
        self.report('g', [base.gpu(1)])
        self._claim()
        self.claim('g', base.request('gpu'), instance_uuid=self.owner)
        self.assertEqual(4, len(self.free()))

    def test_nothing_to_give_back(self) -> None:
        self.assertEqual([], self.free())
        self.assertEqual([], self.free('h'))
        self.assertEqual([], self.free('unknown'))
        self.assertEqual([], claims.abort(self.db, 'h', self.owner, 'test'))
        self.assertEqual(
            [], claims.abort(self.db, 'unknown', self.owner, 'test')
        )

    def test_nothing_to_allocate(self) -> None:
        allocate = claims.allocate
        self.assertRaises(
            exception.ClaimMismatch, allocate, self.db, 'h', self.owner, 'test'
        )
        self.assertRaises(
            exception.HostNotFound, allocate, self.db, 'x', self.owner, 'test'
        )

    def test_of_another_instance_nothing_is_touched(self) -> None:
        self._claim()
        stranger = uuidutils.generate_uuid()
        self.assertEqual([], claims.free(self.db, stranger, 'test', 'h'))
        self.assertRaises(
            exception.ClaimMismatch,
            claims.allocate,
            self.db,
            'h',
            stranger,
            'test',
        )
        self.assertEqual(
            3, len(devices.get_all(self.db, instance_uuid=self.owner))
        )

    def test_request_ids_are_told_apart_to_the_letter(self) -> None:
        claimed = self.claim(
            'h',
            base.request('gpu', request_id='net'),
            base.request('gpu', request_id='NET'),
            instance_uuid=self.owner,
        )
        self.assertEqual({'net', 'NET'}, {d.request_id for d in claimed})
        self.assertEqual(1, len(self.free('h', ['net'])))

    def _claim(self) -> list[objects.PciDevice]:
        return self.claim('h', *self.requests, instance_uuid=self.owner)


class GoneTest(ClaimTestBase):
    """Devices that leave the host while they are held."""

    def test_free_removes_what_is_gone(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.claim('h', base.request('gpu', count=2), instance_uuid=self.owner)
        self.report('h', [], withdrawn=['0000:01:00.0'])
        self.assertEqual(2, len(self.free()))
        self.assertEqual({}, self.states())

    def test_free_keeps_what_is_disabled(self) -> None:
        self.report('h', [base.gpu(1)])
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        devices.set_disabled(self.db, 'h/0000:01:00.0', 'hot', 'op')
        self.assertEqual({'0000:01:00.0': 'claimed'}, self.states())
        self.report('h', [])
        self.free()
        self.assertEqual({'0000:01:00.0': 'missing'}, self.states())

    def test_allocate_what_is_gone(self) -> None:
        self.report('h', [base.gpu(1)])
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        self.report('h', [])
        (device,) = claims.allocate(self.db, 'h', self.owner, 'test')
        self.assertEqual(
            ('allocated', 'missing'), (device.status, device.state)
        )


class ExclusionTest(ClaimTestBase):
    def test_held_vf_excludes_its_pf(self) -> None:
        self.report('h', [*base.family(3, 2), *base.family(4, 2)])
        self.claim('h', base.request('vf'), instance_uuid=self.owner)
        self.assertEqual(
            ['0000:04:00.0'],
            base.addresses(self.claim('h', base.request('pf'))),
        )
        self.assertEqual(
            [('pf', 'all_held', 1, 0)], self.refused('h', base.request('pf'))
        )

    def test_held_pf_excludes_its_vfs(self) -> None:
        self.report('h', base.family(3, 2))
        self.claim('h', base.request('pf'), instance_uuid=self.owner)
        self.assertEqual(
            [('vf', 'all_held', 1, 0)], self.refused('h', base.request('vf'))
        )
        self.free()
        self.claim('h', base.request('vf', count=2))

    def test_not_both_at_once(self) -> None:
        self.report('h', base.family(3, 2))
        self.refused('h', base.request('pf'), base.request('vf'))
        self.report('h', [*base.family(3, 2), *base.family(4, 2)])
        claimed = self.claim(
            'h', base.request('pf'), base.request('vf', count=2)
        )
        pf = next(d for d in claimed if d.dev_type == 'type-PF')
        self.assertNotIn(pf.address, {d.parent_addr for d in claimed})

    def test_quarantined_vf_excludes_its_pf(self) -> None:
        self.report('h', base.family(3, 2))
        devices.move(self.db, 'h/0000:03:01.0', 'quarantine', 'dirty', 'op')
        self.refused('h', base.request('pf'))

    def test_missing_vf_excludes_what_was_its_pf(self) -> None:
        self.report('h', base.family(3, 1))
        self.claim('h', base.request('vf'), instance_uuid=self.owner)
        self.report('h', [base.pf(3, dev_type='type-PCI')])
        self.assertEqual(
            [('pf', 'too_few', 2, 1)],
            self._refused_after(base.request('pf', count=2)),
        )
        self.free()
        self.claim('h', base.request('pf'))

    def test_same_addresses_on_another_host(self) -> None:
        for host in ('g', 'h'):
            self.report(host, base.family(3, 2))
        self.claim('g', base.request('vf'))
        self.claim('h', base.request('pf'))

    def test_update_checks_by_itself(self) -> None:
        self.report('h', base.family(3, 1))
        pf = devices.get(self.db, 'h/0000:03:00.0')
        vf = devices.get(self.db, 'h/0000:03:01.0')
        self.claim('h', base.request('vf'))
        for device in (pf, vf):
            self.assertRaises(taking.LostRace, self._take, device)
        self.assertEqual('available', self.states()['0000:03:00.0'])

    def _refused_after(
        self, request: objects.PciRequest
    ) -> list[tuple[str, str, int, int]]:
        self.report('h', [base.pf(3, dev_type='type-PCI'), base.pf(4)])
        return self.refused('h', request)

    def _take(self, device: objects.PciDevice) -> None:
        table = models.pci_devices
        with self.db.write() as connection:
            row = connection.execute(
                table.select().where(table.c.uuid == device.uuid)
            ).one()
            flavor = pci_flavors.get(self.db, 'pf').uuid
            taking.take(
                connection,
                row.compute_node_id,
                self.owner,
                [taking.Taken(row.id, row.pool_key_id, 'r', flavor)],
            )


class RefusalTest(ClaimTestBase):
    def test_numbers(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2, numa_node=1)])
        self.assertEqual(
            [('vf', 'no_match', 1, 0)], self.refused('h', base.request('vf'))
        )
        self.assertEqual(
            [('gpu', 'too_few', 3, 2)],
            self.refused('h', base.request('gpu', count=3)),
        )
        self.assertEqual(
            [('gpu', 'numa', 2, 1)],
            self.refused(
                'h',
                base.request('gpu', count=2),
                numa=objects.NumaAffinity(nodes=[0], socket_nodes=[0]),
            ),
        )
        self.claim('h', base.request('gpu', count=2))
        self.assertEqual(
            [('big', 'no_match', 1, 0), ('gpu', 'all_held', 1, 0)],
            self.refused('h', base.request('big', 'gpu')),
        )

    def test_all_or_nothing(self) -> None:
        self.report('h', [base.gpu(1)])
        self.refused('h', base.request('gpu'), base.request('vf'))
        self.assertEqual({'0000:01:00.0': 'available'}, self.states())

    def test_states_are_named(self) -> None:
        self.report('h', [*map(base.gpu, range(1, 5)), *base.family(9, 1)])
        devices.set_disabled(self.db, 'h/0000:01:00.0', 'hot', 'op')
        devices.move(self.db, 'h/0000:02:00.0', 'quarantine', 'dirty', 'op')
        self.claim('h', base.request('gpu'))
        self.claim('h', base.request('vf'))
        error = self.assertRaises(
            exception.ClaimRefused,
            self.claim,
            'h',
            base.request('gpu', count=2),
            base.request('pf'),
        )
        gpu, pf = error.reasons
        self.assertIn(
            '1 claimed, 1 disabled, 1 free, 1 quarantined', gpu.detail
        )
        self.assertIn('1 excluded', pf.detail)

    def test_host_down(self) -> None:
        self.report('h', [base.gpu(1)])
        self.useFixture(_Policy(host_timeout=0))
        self.assertEqual(
            [('gpu', 'host_down', 1, 0)],
            self.refused('h', base.request('gpu')),
        )

    def test_unknown_host(self) -> None:
        self.assertRaises(
            exception.HostNotFound, self.claim, 'x', base.request('gpu')
        )

    def test_why_no_host(self) -> None:
        self.report('g', [base.gpu(1)])
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.report('i', [])
        demands = pci_flavors.demands(
            self.db, self.catalog, [base.request('gpu', count=2)]
        )
        reasons = explain.refusals(self.db, self.catalog, 60, demands)
        self.assertEqual(
            [('g', 'too_few'), ('i', 'no_match')],
            [(r.host, r.condition) for r in reasons],
        )

    def test_malformed(self) -> None:
        self.report('h', [base.gpu(1)])
        for requests in (
            [],
            [base.request('gpu', count=0)],
            [base.request('gpu', count=-1)],
            [base.request('gpu', count=65)],
            [base.request()],
            [base.request('gpu', request_id='x' * 65)],
            [base.request(name, request_id='same') for name in ('gpu', 'vf')],
        ):
            self.assertRaises(
                exception.InvalidRequest, self.claim, 'h', *requests
            )
        self.assertRaises(
            exception.InvalidRequest,
            self.claim,
            'h',
            base.request('gpu'),
            instance_uuid='me',
        )


class PciFlavorUseTest(ClaimTestBase):
    """PCI flavors in requests, from the claim's side."""

    def setUp(self) -> None:
        super().setUp()
        self.report('h', [base.gpu(1)])

    def test_disabled(self) -> None:
        pci_flavors.update(self.db, 'gpu', {'state': 'disabled'})
        self.assertRaises(
            exception.InvalidRequest, self.claim, 'h', base.request('gpu')
        )
        pci_flavors.update(self.db, 'gpu', {'state': 'deprecated'})
        self.claim('h', base.request('gpu'))

    def test_not_visible(self) -> None:
        pci_flavors.update(self.db, 'gpu', {'is_public': False})
        self.assertRaises(
            exception.PciFlavorNotFound,
            self.claim,
            'h',
            base.request('gpu'),
            project_id='p',
        )
        pci_flavors.update(self.db, 'gpu', {'access': ['p']})
        self.claim('h', base.request('gpu'), project_id='p')

    def test_by_uuid(self) -> None:
        flavor = pci_flavors.get(self.db, 'gpu')
        (device,) = self.claim('h', base.request(flavor.uuid))
        self.assertEqual(flavor.uuid, device.pci_flavor_uuid)

    def test_in_use(self) -> None:
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        error = self.assertRaises(
            exception.PciFlavorInUse, pci_flavors.delete, self.db, 'gpu'
        )
        self.assertEqual(1, error.holders)
        self.free()
        pci_flavors.delete(self.db, 'gpu')
        self.assertRaises(
            exception.PciFlavorNotFound, self.claim, 'h', base.request('gpu')
        )

    def test_deleted_while_it_is_claimed(self) -> None:
        for turn in range(8):
            name = f'turn{turn}'
            pci_flavors.create(
                self.db, name, None, match=[{'class': 'display'}]
            )
            with futures.ThreadPoolExecutor(2) as pool:
                claiming = pool.submit(
                    self.claim,
                    'h',
                    base.request(name),
                    instance_uuid=self.owner,
                )
                deleting = pool.submit(pci_flavors.delete, self.db, name)
            errors = {type(claiming.exception()), type(deleting.exception())}
            self.assertIn(
                errors - {type(None)},
                (
                    {exception.PciFlavorNotFound},
                    {exception.PciFlavorInUse},
                ),
            )
            self.free()


class _Policy(fixtures.Fixture):
    """Another policy for a while."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._policy = claims.Policy(**options)

    def _setUp(self) -> None:
        self.addCleanup(setattr, base, 'POLICY', base.POLICY)
        base.POLICY = self._policy
