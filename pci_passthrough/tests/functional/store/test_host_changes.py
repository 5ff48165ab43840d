# SPDX-License-Identifier: Apache-2.0
"""Forgetting and renaming hosts."""

import sqlalchemy as sa
import testscenarios

from pci_passthrough import exception
from pci_passthrough.store import host_changes
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pools import pool_list
from pci_passthrough.store.views import census
from pci_passthrough.store.views import explanations
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base
from pci_passthrough.tests.functional.store import claimer

load_tests = testscenarios.load_tests_apply_scenarios

_GPU = '0000:01:00.0'


class _HostsTest(base.StoreTest):
    """Two hosts with two GPUs each; ``old`` is down."""

    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        for host in ('old', 'other'):
            self.report(host, [base.gpu(1), base.gpu(2)])
            trackers.register(self.db, host, '1')
        self.make_silent('old')

    def names(self) -> list[str]:
        return [host.host for host in hosts.get_all(self.db, base.TRACKED)]

    def hold(self, host: str = 'old') -> str:
        """Have an instance hold a GPU of a host; return its UUID."""
        owner = base.new_id()
        adoption.adopt(self.db, host, owner, base.new_id(), [_GPU], 'test')
        return owner


class ForgetTest(_HostsTest):
    def forget(
        self, host: str = 'old', force: bool = False, reason: str = ''
    ) -> int:
        return host_changes.forget(
            self.db, base.TRACKED, host, force, reason, 'op'
        )

    def test_nothing_is_left_but_the_ledger(self) -> None:
        self.assertEqual(0, self.forget(reason='sold'))
        self.assertEqual(['other'], self.names())
        self.assertEqual(
            {'other'}, {str(d.host) for d in lookup.get_all(self.db)}
        )
        taken = census.take(self.db, base.TRACKED)
        self.assertEqual(['other'], [signs.host for signs in taken.hosts])
        self.assertEqual({'other'}, {group.host for group in taken.devices})
        pools = pool_list.PciDevicePoolList.get_all(self.db, base.TRACKED)
        self.assertEqual({'other'}, {str(pool.host) for pool in pools})
        flavor = editing.create(
            self.db, 'none', None, match=[{'vendor_id': '1002'}]
        )
        [explained] = explanations.explain(
            self.db, base.TRACKED, flavor, count=1
        ).hosts
        self.assertEqual('other', explained.host)
        history = ledger.history(self.db, lookup.uuid_of('old', _GPU))
        self.assertEqual(
            [
                ('appear', None, 'available', 'agent@old', None),
                (
                    'forget',
                    'available',
                    None,
                    'op',
                    'the host was forgotten: sold',
                ),
            ],
            [
                (e.action, e.from_state, e.to_state, e.actor, e.reason)
                for e in history
            ],
        )

    def test_comes_back_as_a_new_host(self) -> None:
        """A report of changes, or a heartbeat, is not enough."""
        before = hosts.get_all(self.db, base.TRACKED)[0]
        self.forget()
        self.assertFalse(
            hosts.touch(self.db, 'old', before.generation, 'digest 1')
        )
        ack = self.report('old', [base.gpu(1)], is_full=False)
        self.assertEqual('full-report', ack.wanted)
        self.assertEqual(['other'], self.names())
        self.report('old', [base.gpu(1)])
        self.assertEqual(['old', 'other'], self.names())
        self.assertEqual(1, len(self.claim('old', base.request('gpu'))))
        history = ledger.history(self.db, lookup.uuid_of('old', _GPU))
        self.assertEqual(
            ['appear', 'forget', 'appear', 'claim'],
            [event.action for event in history],
        )

    def test_refused_while_its_agent_reports(self) -> None:
        self.report('old', [base.gpu(1)])
        for force in (False, True):
            error = self.assertRaises(
                exception.HostIsUp, self.forget, force=force, reason='sold'
            )
            self.assertIn('Stop pci-passthrough-agent', error.text)
        self.assertEqual(['old', 'other'], self.names())

    def test_refused_while_something_is_held(self) -> None:
        owner = self.hold()
        error = self.assertRaises(exception.HostInUse, self.forget)
        self.assertEqual(1, error.devices)
        self.assertEqual([f'{_GPU} (instance {owner})'], error.holders)
        self.assertEqual(['old', 'other'], self.names())
        self.assertEqual(
            owner, lookup.get(self.db, f'old/{_GPU}').instance_uuid
        )

    def test_force_needs_a_reason_and_records_the_holder(self) -> None:
        owner = self.hold()
        for reason in ('', ' ', 'two\nlines'):
            self.assertRaises(
                exception.Invalid, self.forget, force=True, reason=reason
            )
        self.assertEqual(1, self.forget(force=True, reason='burned'))
        self.assertEqual(['other'], self.names())
        *_, last = ledger.history(self.db, lookup.uuid_of('old', _GPU))
        self.assertEqual(
            ('forget', 'allocated', owner, 'the host was forgotten: burned'),
            (last.action, last.from_state, last.instance_uuid, last.reason),
        )
        self.assertEqual([], audit.violations(self.db))

    def test_refused_while_a_device_is_unfit(self) -> None:
        """It would be given away when the host comes back."""
        operators.act(self.db, f'old/{_GPU}', 'quarantine', 'odd', 'op')
        operators.disable(self.db, 'old/0000:02:00.0', 'hot', 'op')
        error = self.assertRaises(exception.HostOutOfService, self.forget)
        self.assertEqual(
            [f'{_GPU} (quarantined)', '0000:02:00.0 (disabled)'],
            error.devices,
        )
        self.assertEqual(['old', 'other'], self.names())
        self.forget(force=True, reason='sold')
        self.assertEqual(['other'], self.names())

    def test_force_is_refused_while_nova_compute_is_up(self) -> None:
        self.hold()
        trackers.register(self.db, 'old', '1')
        error = self.assertRaises(
            exception.HostIsUp, self.forget, force=True, reason='burned'
        )
        self.assertIn('Stop nova-compute', error.text)

    def test_running_nova_compute_alone_does_no_harm(self) -> None:
        trackers.register(self.db, 'old', '1')
        self.forget()
        ack = trackers.register(self.db, 'old', '1')
        self.assertIsNone(ack.generation)
        self.assertEqual(['other'], self.names())

    def test_unknown(self) -> None:
        for name in ('nobody', 'OLD', 'x\ud800'):
            self.assertRaises(exception.HostNotFound, self.forget, name)


class RenameTest(_HostsTest):
    def rename(self, old: str = 'old', new: str = 'new') -> int:
        return host_changes.rename(self.db, base.TRACKED, old, new, 'op')

    def holders(self) -> dict[str, str | None]:
        return {
            f'{d.host}/{d.address}': d.instance_uuid
            for d in lookup.get_all(self.db)
            if d.host != 'other'
        }

    def check_renamed(self, owner: str) -> None:
        """Check holders and history, and that only a report brings it up."""
        self.assertEqual(['new', 'other'], self.names())
        self.assertEqual(
            {f'new/{_GPU}': owner, 'new/0000:02:00.0': None}, self.holders()
        )
        device = lookup.get(self.db, f'new/{_GPU}')
        self.assertEqual(lookup.uuid_of('new', _GPU), device.uuid)
        history = ledger.history(self.db, device.uuid)
        self.assertEqual(
            [
                ('appear', 'agent@old', None),
                ('adopt', 'test', owner),
                ('rename', 'op', owner),
            ],
            [
                (e.action, e.actor, e.instance_uuid)
                for e in history
                if e.actor != 'agent@new'
            ],
        )
        self.assertEqual('the host was old', history[-1].reason)
        [left] = ledger.history(self.db, lookup.uuid_of('old', _GPU))
        self.assertEqual('the host is new now', left.reason)
        self.assertFalse(hosts.get_all(self.db, base.TRACKED)[0].is_up)
        ack = self.report('new', [base.gpu(1)], is_full=False)
        self.assertEqual('full-report', ack.wanted)
        self.report('new', [base.gpu(1), base.gpu(2)])
        self.assertEqual(1, len(self.claim('new', base.request('gpu'))))
        self.assertEqual(owner, self.holders()[f'new/{_GPU}'])
        freed = transitions.free(self.db, owner, 'test', 'new')
        self.assertEqual([_GPU], base.addresses(freed))

    def test_owners_and_history_follow(self) -> None:
        owner = self.hold()
        self.assertEqual(2, self.rename())
        self.check_renamed(owner)

    def test_reported_by_the_new_name_already(self) -> None:
        owner = self.hold()
        self.report('new', [base.gpu(1), base.gpu(2), base.gpu(3)])
        self.rename()
        self.check_renamed(owner)

    def test_other_machine_has_the_name(self) -> None:
        owner = self.hold()
        before = self.holders()
        for devices in ([base.gpu(2)], [base.gpu(1, product_id='1234')]):
            self.report('new', devices)
            error = self.assertRaises(exception.HostsDiffer, self.rename)
            self.assertIn(owner, error.text)
        self.assertEqual(before[f'old/{_GPU}'], owner)
        self.assertEqual(owner, self.holders()[f'old/{_GPU}'])

    def test_equal_machine_has_the_name(self) -> None:
        """Both have reported at one time: the name is a typing error."""
        before = self.holders()
        self.report('new', [base.gpu(1), base.gpu(2)])
        nodes = models.compute_nodes
        old = sa.select(nodes.c.last_report_at).where(nodes.c.host == 'old')
        with self.db.write() as connection:
            connection.execute(
                nodes.update()
                .where(nodes.c.host == 'new')
                .values(created_at=connection.execute(old).scalar_one())
            )
        error = self.assertRaises(exception.HostsDiffer, self.rename)
        self.assertIn('two machines', error.text)
        self.assertLess(before.items(), self.holders().items())

    def test_never_two_owners(self) -> None:
        self.hold()
        self.report('new', [base.gpu(1), base.gpu(2)])
        self.hold('new')
        before = self.holders()
        error = self.assertRaises(exception.HostsDiffer, self.rename)
        self.assertIn('forget the old name', error.text)
        self.assertEqual(before, self.holders())

    def test_marks_by_the_new_name_are_not_lost(self) -> None:
        self.report('new', [base.gpu(1)])
        operators.disable(self.db, f'new/{_GPU}', 'hot', 'op')
        self.assertRaises(exception.HostsDiffer, self.rename)
        operators.enable(self.db, f'new/{_GPU}', '', 'op')
        operators.act(self.db, f'new/{_GPU}', 'quarantine', 'odd', 'op')
        self.assertRaises(exception.HostsDiffer, self.rename)

    def test_refused_while_the_old_name_is_used(self) -> None:
        trackers.register(self.db, 'old', '1')
        error = self.assertRaises(exception.HostIsUp, self.rename)
        self.assertEqual('nova-compute', error.service)
        self.report('old', [base.gpu(1)])
        error = self.assertRaises(exception.HostIsUp, self.rename)
        self.assertEqual('pci-passthrough-agent', error.service)

    def test_wrong_names(self) -> None:
        self.assertRaises(exception.HostNotFound, self.rename, 'nobody')
        for new in ('old', '', 'two\nlines', 'x' * 256):
            self.assertRaises(exception.Invalid, self.rename, 'old', new)


class ForgetRacesTest(base.StoreTest):
    """Hosts are forgotten while they report, and while others claim."""

    def test_no_owner_is_lost(self) -> None:
        self.flavors()
        names = ['h0', 'h1']
        for host in names:
            self.report(host, [base.gpu(n) for n in (1, 2, 3)])
        errors = claimer.run_all(
            [
                *[claimer.take_and_hold] * 4,
                *[claimer.report_again] * 2,
                *[claimer.forget_hosts] * 2,
            ],
            self.url,
            names,
        )
        self.assertEqual([], errors)
        self.assertEqual([], audit.violations(self.db))
        # The processes did meet.
        self.assertLessEqual(
            {'appear', 'claim', 'free', 'forget'}, audit.actions(self.db)
        )
