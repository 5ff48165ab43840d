# SPDX-License-Identifier: Apache-2.0
"""Claims: the devices they get, their refusals, and repetitions."""

from oslo_utils import uuidutils
import testscenarios

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.claims import choosing
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class LifeTest(base.ClaimTest):
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
            flavor_lookup.get(self.db, str(d.pci_flavor_uuid)).name
            for d in claimed
        }
        self.assertEqual({'gpu', 'vf'}, names)
        allocated = transitions.allocate(self.db, 'h', self.owner, 'test')
        self.assertEqual(base.addresses(claimed), base.addresses(allocated))
        self.assertEqual(
            allocated, transitions.allocate(self.db, 'h', self.owner, 'test')
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
        transitions.allocate(self.db, 'h', self.owner, 'test')
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
        transitions.allocate(
            self.db, 'h', self.owner, 'test', [gpu.request_id]
        )
        aborted = transitions.abort(self.db, 'h', self.owner, 'test')
        self.assertEqual({'type-VF'}, {d.dev_type for d in aborted})
        self.assertEqual(
            [], transitions.abort(self.db, 'h', self.owner, 'test')
        )
        (held,) = lookup.get_all(self.db, instance_uuid=self.owner)
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
        self.assertEqual(
            [], transitions.abort(self.db, 'h', self.owner, 'test')
        )
        self.assertEqual(
            [], transitions.abort(self.db, 'unknown', self.owner, 'test')
        )

    def test_nothing_to_allocate(self) -> None:
        allocate = transitions.allocate
        self.assertRaises(
            exception.ClaimMismatch, allocate, self.db, 'h', self.owner, 'test'
        )
        self.assertRaises(
            exception.HostNotFound, allocate, self.db, 'x', self.owner, 'test'
        )

    def test_of_another_instance_nothing_is_touched(self) -> None:
        self._claim()
        stranger = uuidutils.generate_uuid()
        self.assertEqual([], transitions.free(self.db, stranger, 'test', 'h'))
        self.assertRaises(
            exception.ClaimMismatch,
            transitions.allocate,
            self.db,
            'h',
            stranger,
            'test',
        )
        self.assertEqual(
            3, len(lookup.get_all(self.db, instance_uuid=self.owner))
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


class GoneTest(base.ClaimTest):
    """Devices that leave the host while they are held."""

    def test_free_removes_what_is_gone(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.claim('h', base.request('gpu', count=2), instance_uuid=self.owner)
        self.report('h', [], withdrawn=['0000:01:00.0'])
        self.assertEqual(2, len(self.free()))
        self.assertEqual({}, self.states())

    def test_owner_has_one_form(self) -> None:
        self.report('h', [base.gpu(1)])
        for owner in (
            self.owner.upper(),
            self.owner.replace('-', ''),
            '{' + self.owner + '}',
            'me',
            '',
            None,
        ):
            for call in (
                lambda owner=owner: self.claim(
                    'h', base.request('gpu'), instance_uuid=owner
                ),
                lambda owner=owner: transitions.allocate(
                    self.db, 'h', owner, 't'
                ),
                lambda owner=owner: transitions.abort(
                    self.db, 'h', owner, 't'
                ),
                lambda owner=owner: transitions.free(self.db, owner, 't'),
            ):
                self.assertRaises(exception.InvalidRequest, call)
        self.assertEqual({'0000:01:00.0': 'available'}, self.states())

    def test_more_requests_than_allowed(self) -> None:
        """Requests need not come from the text of an extra spec."""
        self.report('h', [base.gpu(1)])
        for requests in (
            [base.request('gpu') for _ in range(33)],
            [base.request('gpu', 'vf') for _ in range(13)],
            [base.request('gpu', 'gpu')],
            [base.request('gpu', count=65)],
        ):
            self.assertRaises(
                exception.InvalidRequest, self.claim, 'h', *requests
            )

    def test_as_many_devices_as_allowed(self) -> None:
        """One condition for each device would be too much SQL for SQLite."""
        self.report(
            'h', [vf for bus in range(1, 11) for vf in base.family(bus, 128)]
        )
        held = self.claim(
            'h', *(base.request('vf', count=64) for _ in range(20))
        )
        self.assertEqual(1280, len({device.uuid for device in held}))

    def test_what_a_guest_hid_is_asked_for(self) -> None:
        """The agent would not report it again: its host has not changed."""
        ack = self.report('h', [base.gpu(1)], digest='told')
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        self.assertTrue(hosts.touch(self.db, 'h', ack.generation, 'told'))
        self.free()
        self.assertFalse(hosts.touch(self.db, 'h', ack.generation, 'told'))

    def test_spread_breaks_no_whole_pf(self) -> None:
        """This claim requests no physical function, but the next one may."""
        self.report('h', [*base.family(1, 2), *base.family(2, 2)])
        policy = store.Policy(base.LIMITS, 'spread')
        for _ in range(2):
            claiming.claim(
                self.db,
                policy,
                claims.ClaimRequest(
                    'h', base.new_id(), [base.request('vf')], 'test'
                ),
            )
        (whole,) = self.claim('h', base.request('pf'))
        self.assertEqual('0000:02:00.0', whole.address)

    def test_free_keeps_what_is_disabled(self) -> None:
        self.report('h', [base.gpu(1)])
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        operators.disable(self.db, 'h/0000:01:00.0', 'hot', 'op')
        self.assertEqual({'0000:01:00.0': 'claimed'}, self.states())
        self.report('h', [])
        self.free()
        self.assertEqual({'0000:01:00.0': 'missing'}, self.states())

    def test_allocate_what_is_gone(self) -> None:
        self.report('h', [base.gpu(1)])
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        self.report('h', [])
        (device,) = transitions.allocate(self.db, 'h', self.owner, 'test')
        self.assertEqual(
            ('allocated', 'missing'), (device.status, device.state)
        )


class ExclusionTest(base.ClaimTest):
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
        operators.move(self.db, 'h/0000:03:01.0', 'quarantine', 'dirty', 'op')
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
        pf = lookup.get(self.db, 'h/0000:03:00.0')
        vf = lookup.get(self.db, 'h/0000:03:01.0')
        self.claim('h', base.request('vf'))
        for device in (pf, vf):
            self.assertRaises(choosing.LostRace, self._take, device)
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
            flavor = flavor_lookup.get(self.db, 'pf').uuid
            choosing.take(
                connection,
                row.compute_node_id,
                self.owner,
                [choosing.Assignment(row.id, row.pool_key_id, 'r', flavor)],
            )
