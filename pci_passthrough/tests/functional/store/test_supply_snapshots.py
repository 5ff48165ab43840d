# SPDX-License-Identifier: Apache-2.0
"""Supply snapshots: the scheduler's candidate hosts and free devices."""

import datetime
from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import models
from pci_passthrough.store.claims import starts
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.views import supply_snapshots
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_nodes = models.compute_nodes


class OfferTest(base.ClaimTest):
    def offer(
        self,
        *requests: objects.PciRequest,
        names: Any = None,
        tracker_timeout: float | None = None,
        **arguments: Any,
    ) -> claims.SupplySnapshot:
        snapshot = supply_snapshots.get(
            self.db,
            store.Limits(3600, tracker_timeout),
            requests,
            names,
            **arguments,
        )
        self.assertEqual(
            snapshot, claims.SupplySnapshot.from_wire(snapshot.to_wire())
        )
        return snapshot

    def silence(self, host: str, column: str) -> None:
        """Make a host's agent or tracker be silent for long."""
        with self.db.write() as connection:
            connection.execute(
                _nodes.update()
                .where(_nodes.c.host == host)
                .values({column: hosts.cutoff(86400)})
            )

    def test_offered_is_what_can_be_claimed(self) -> None:
        self.report('g', [base.gpu(1), base.gpu(2)])
        self.report('n', base.family(3, 4))
        self.report('e', [base.gpu(1, vendor_id='1002')])
        gpu = base.request('gpu', count=2)
        nic = base.request('pf', 'vf', count=1)
        offer = self.offer(gpu)
        self.assertEqual({'g'}, set(offer.supplies))
        self.assertEqual(1, len(offer.keys))
        self.assertIsNotNone(offer.decide('g'))
        self.assertEqual('none_free', offer.refusal('n'))
        self.claim('g', base.request('gpu'))
        self.assertEqual('too_few', self.offer(gpu).refusal('g'))
        offer = self.offer(nic)
        [family] = offer.supplies['n'].families
        self.assertEqual(4, sum(count for _, count in family.vfs))
        self.claim('n', base.request('vf'))
        decided = self.offer(nic).decide('n')
        assert decided is not None
        self.assertEqual(['vf'], [p.alternative.name for p in decided.picks])

    def test_everything_that_is_free(self) -> None:
        self.report('g', [base.gpu(1), base.gpu(2, vendor_id='1002')])
        self.report('n', base.family(3, 2))
        self.report('e', [])
        offer = self.offer()
        self.assertEqual((), offer.demands)
        self.assertEqual({'g', 'n'}, set(offer.supplies))
        self.assertEqual(4, len(offer.keys))
        self.claim('n', base.request('pf'))
        self.assertEqual({'g'}, set(self.offer().supplies))

    def test_why_hosts_are_absent(self) -> None:
        for name in ('up', 'silent', 'untracked', 'forgotten'):
            self.report(name, [base.gpu(1)])
        for name in ('up', 'silent', 'forgotten'):
            trackers.register(self.db, name, '1.1')
        self.silence('silent', 'last_report_at')
        self.silence('forgotten', 'tracker_seen_at')
        names = ['up', 'silent', 'untracked', 'forgotten', 'unheard of']
        self.assertEqual(
            {'a\0b': 'host_unknown'},
            self.offer(base.request('gpu'), names=['a\0b']).absent,
        )
        many = [*names, *(f'x{n}' for n in range(600))]
        gpu = base.request('gpu')
        for names_of in (names, many):
            offer = self.offer(gpu, names=names_of, tracker_timeout=3600)
            self.assertEqual({'up'}, set(offer.supplies))
            self.assertEqual(
                {
                    'silent': 'host_down',
                    'untracked': 'tracker_down',
                    'forgotten': 'tracker_down',
                    'unheard of': 'host_unknown',
                },
                {
                    host: why
                    for host, why in offer.absent.items()
                    if not host.startswith('x')
                },
            )
        offer = self.offer(gpu, names=names)
        self.assertEqual(
            {'silent': 'host_down', 'unheard of': 'host_unknown'},
            offer.absent,
        )
        self.assertEqual({'up', 'untracked', 'forgotten'}, set(offer.supplies))
        offer = self.offer(gpu, tracker_timeout=3600)
        self.assertEqual(({'up'}, {}), (set(offer.supplies), offer.absent))

    def test_some_of_very_many(self) -> None:
        self.report('h', [base.gpu(1)])
        row = {
            'revision': 0,
            'generation': 1,
            'sequence': 1,
            'digest': '',
            'agent_version': '1',
            'last_report_at': database.now(),
            'created_at': database.now(),
        }
        with self.db.write() as connection:
            connection.execute(
                _nodes.insert(),
                [{**row, 'host': f'x{n:04}'} for n in range(2000)],
            )
        names = ['h', 'nobody', *(f'x{n:04}' for n in range(600))]
        offer = self.offer(base.request('gpu'), names=names)
        self.assertEqual({'nobody': 'host_unknown'}, offer.absent)
        self.assertEqual({'h'}, set(offer.supplies))

    def test_a_claim_needs_no_tracker(self) -> None:
        self.report('h', [base.gpu(1)])
        self.assertEqual(1, len(self.claim('h', base.request('gpu'))))

    def test_whose_request_it_is(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        editing.update(self.db, 'gpu', {'is_public': False, 'access': ['p1']})
        gpu = base.request('gpu')
        self.assertTrue(self.offer(gpu, project_id='p1').supplies)
        self.assertRaises(
            exception.PciFlavorNotFound, self.offer, gpu, project_id='p2'
        )
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        editing.update(self.db, 'gpu', {'state': 'disabled'})
        self.assertTrue(
            self.offer(gpu, project_id='p2', instance_uuid=self.owner).supplies
        )
        self.assertRaises(exception.InvalidRequest, self.offer, gpu)

    def test_devices_with_failed_starts_are_apart(self) -> None:
        """As in the claim: only those that can be claimed, and used last."""
        self.report('g', [base.gpu(1), base.gpu(2)])
        self.report('n', base.family(3, 2))
        self.report('e', [base.gpu(1)])
        gpu = base.request('gpu')
        self.assertEqual({}, self.offer(gpu).proven)
        self.fail_start('g', gpu)
        self.fail_start('n', base.request('pf'))
        offer = self.offer(gpu)
        [(key_id, count)] = offer.proven['g'].free.items()
        self.assertEqual(({'g'}, 1), (set(offer.proven), count))
        self.assertEqual(2, offer.supplies['g'].total({key_id}))
        for request, host, failed in (
            (gpu, 'g', 0),
            (base.request('gpu', count=2), 'g', 1),
            (base.request('pf', 'vf'), 'n', 0),
            (base.request('pf'), 'n', 1),
        ):
            offer = self.offer(request)
            decision = offer.decide(host)
            assert decision is not None
            loss = claims.Loss.of(
                decision, offer.keys.__getitem__, offer.proven.get(host)
            )
            self.assertEqual(failed, loss.failed)
        # The virtual function excludes the physical one.
        self.assertIn('n', self.offer(base.request('pf', 'vf')).proven)
        self.claim('n', base.request('vf'))
        self.assertNotIn('n', self.offer(base.request('pf', 'vf')).proven)

    def fail_start(self, host: str, request: objects.PciRequest) -> None:
        """Let an instance give a device back with which it did not start."""
        self.claim(host, request, instance_uuid=self.owner)
        starts.failed(self.db, host, self.owner, 'vfio: busy', 'test')
        transitions.free(self.db, self.owner, 'test')

    def test_one_pool_query_for_all_hosts(self) -> None:
        for number in range(30):
            self.report(f'h{number}', [base.gpu(1), *base.family(2, 1)])
        names = [f'h{number}' for number in range(30)]
        for request in (base.request('gpu'), base.request('pf', 'vf')):
            statements: list[str] = []
            engine = self.db._reading

            @sa.event.listens_for(engine, 'before_cursor_execute')
            def _note(
                connection: Any,
                cursor: Any,
                statement: str,
                *rest: Any,
                statements: list[str] = statements,
            ) -> None:
                if 'free_key' in statement:
                    statements.append(statement)

            self.offer(request, names=names)
            sa.event.remove(engine, 'before_cursor_execute', _note)
            failed = [s for s in statements if 'failed_starts >' in s]
            self.assertEqual([1, 2], [len(failed), len(statements)])


class TrackerTest(base.ClaimTest):
    def test_register(self) -> None:
        ack = trackers.register(self.db, 'h', '1.1')
        self.assertEqual((None, []), (ack.generation, ack.held))
        self.assertEqual([], hosts.get_all(self.db, base.TRACKED))
        self.report('h', [base.gpu(1), base.gpu(2), base.gpu(3)])
        [before] = hosts.get_all(self.db, base.TRACKED)
        self.assertEqual(
            (None, None, False),
            (
                before.tracker_version,
                before.tracker_seen_at,
                before.tracker_is_up,
            ),
        )
        claimed = self.claim('h', base.request('gpu', count=2))
        # A database may keep whole seconds only.
        began = database.now() - datetime.timedelta(seconds=1)
        ack = trackers.register(self.db, 'h', '1.1')
        self.assertEqual((1, claimed), (ack.generation, ack.held))
        [after] = hosts.get_all(self.db, base.TRACKED)
        self.assertEqual(
            ('1.1', True), (after.tracker_version, after.tracker_is_up)
        )
        assert after.tracker_seen_at is not None
        self.assertTrue(
            began
            <= after.tracker_seen_at
            <= database.now() + datetime.timedelta(seconds=1)
        )
        self.assertFalse(
            hosts.get_all(self.db, store.Limits(3600, 0))[0].tracker_is_up
        )

    def test_survives_reports(self) -> None:
        self.report('h', [base.gpu(1)])
        trackers.register(self.db, 'h', '1.1')
        self.report('h', [base.gpu(2)])
        self.assertTrue(hosts.get_all(self.db, base.TRACKED)[0].tracker_is_up)

    def test_what_cannot_be_kept(self) -> None:
        for version in ('', 'x' * 65, 'a\0b'):
            self.assertRaises(
                exception.Invalid, trackers.register, self.db, 'h', version
            )
        self.assertIsNone(trackers.register(self.db, 'h\0', '1').generation)

    def test_devices_of(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2), base.gpu(3)])
        self.report('i', [base.gpu(4)])
        self.claim('h', base.request('gpu', count=2))
        # Of another kind: one like the missing one could be that one.
        self.report('h', [base.gpu(1), base.gpu(4, product_id='20b5')])
        self.assertEqual(
            [
                ('0000:01:00.0', 'claimed'),
                ('0000:02:00.0', 'missing'),
                ('0000:04:00.0', 'available'),
            ],
            [(d.address, d.state) for d in trackers.devices_of(self.db, 'h')],
        )
        for unknown in ('x', 'h\0'):
            self.assertEqual([], trackers.devices_of(self.db, unknown))
