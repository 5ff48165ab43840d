# SPDX-License-Identifier: Apache-2.0
"""Handlers prepare devices between two instances; failed starts count."""

from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.reporting import preparation
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import starts
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import resolving
from pci_passthrough.store.pools import states
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_BOUNDS = preparation.Bounds()
_HANDLERS: dict[str, Any] = {'handlers': ['reset', 'wipe']}
_ONE, _TWO = '0000:01:00.0', '0000:02:00.0'


class PreparationTest(base.ClaimTest):
    """A host with devices that have handlers."""

    def device(self, address: str = _ONE) -> objects.PciDevice:
        return lookup.get(self.db, f'h/{address}')

    def due(self) -> dict[str, objects.Preparation]:
        return {p.address: p for p in preparing.due(self.db, 'h')}

    def may(self, address: str, fence: int) -> bool:
        return preparing.may_prepare(self.db, 'h', address, fence)

    def end(
        self,
        address: str = _ONE,
        fence: int | None = None,
        *,
        succeeded: bool = True,
        output: str = '',
    ) -> str:
        if fence is None:
            fence = self.due()[address].fence
        return preparing.prepared(
            self.db, _BOUNDS, 'h', address, fence, succeeded, output
        )

    def gpu(self, **changes: Any) -> objects.PciDevice:
        """Report a GPU, as it is then."""
        self.report('h', [base.gpu(1, **_HANDLERS | changes)])
        return self.device()

    def held(self) -> objects.PciDevice:
        """Return a GPU that an instance holds."""
        self.gpu()
        self.end()
        [device] = self.claim(
            'h', base.request('gpu'), instance_uuid=self.owner
        )
        return device

    def unclean(self) -> objects.Preparation:
        """Return the preparation of a GPU that an instance has had."""
        self.held()
        self.free()
        return self.due()[_ONE]


class WayTest(PreparationTest):
    def test_from_offer_to_offer(self) -> None:
        self.assertEqual('cleaning', self.gpu().state)
        self.refused('h', base.request('gpu'))
        first = self.due()[_ONE]
        self.assertEqual(
            ('setup', ['reset', 'wipe'], 'quarantine', 1),
            (first.step, first.handlers, first.on_failure, first.attempt),
        )
        self.assertTrue(self.may(_ONE, first.fence))
        self.assertEqual('available', self.end(output='ok'))
        self.assertEqual({}, self.due())
        self.assertFalse(self.may(_ONE, first.fence))
        [held] = self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        transitions.allocate(self.db, 'h', self.owner, 'test')
        [freed] = self.free()
        self.assertEqual('cleaning', freed.state)
        self.assertIsNone(freed.instance_uuid)
        second = self.due()[_ONE]
        self.assertEqual('clean', second.step)
        self.assertGreater(second.fence, first.fence)
        self.refused('h', base.request('gpu'))
        self.assertEqual('available', self.end())
        actions = [e.action for e in ledger.history(self.db, held.uuid)]
        self.assertEqual(
            ['appear', 'prepared', 'claim', 'allocate', 'free', 'prepared'],
            actions,
        )

    def test_aborted_claim(self) -> None:
        self.held()
        [aborted] = transitions.abort(self.db, 'h', self.owner, 'test')
        self.assertEqual('cleaning', aborted.state)

    def test_without_handlers_nothing_changes(self) -> None:
        self.assertEqual('available', self.gpu(handlers=[]).state)
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        [freed] = self.free()
        self.assertEqual(('available', None), (freed.state, freed.preparation))

    def test_devices_with_and_without_are_freed_together(self) -> None:
        self.report('h', [base.gpu(1, **_HANDLERS), base.gpu(2)])
        self.end()
        self.claim('h', base.request('gpu', count=2), instance_uuid=self.owner)
        self.free()
        self.assertEqual(
            {_ONE: 'cleaning', _TWO: 'available'}, self.states('h')
        )

    def test_free_takes_no_more_statements_than_before(self) -> None:
        counts = []
        for handlers in ([], ['reset']):
            self.report('h', [base.gpu(n, handlers=handlers) for n in (1, 2)])
            for address in self.due():
                self.end(address)
            self.claim(
                'h', base.request('gpu', count=2), instance_uuid=self.owner
            )
            statements: list[str] = []

            def note(*arguments: Any, into: list[str] = statements) -> None:
                into.append(arguments[2])

            sa.event.listen(self.db.engine, 'before_cursor_execute', note)
            transitions.free(self.db, self.owner, 'test', 'h')
            sa.event.remove(self.db.engine, 'before_cursor_execute', note)
            words = ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
            counts.append(len([s for s in statements if s.startswith(words)]))
            self.report('h', [])
        # Lock (2), read, write, ledger, conflicts, wish for a report; and
        # with handlers the fence.
        self.assertEqual([7, 8], counts)


class AttemptTest(PreparationTest):
    def test_bounded(self) -> None:
        todo = self.unclean()
        fences = []
        for attempt in (1, 2, 3):
            todo = self.due()[_ONE]
            self.assertEqual(attempt, todo.attempt)
            fences.append(todo.fence)
            self.assertTrue(self.may(_ONE, todo.fence))
            status = self.end(succeeded=False, output='line\nno such ioctl\n')
        self.assertEqual(sorted(set(fences)), fences)
        self.assertEqual('quarantined', status)
        device = self.device()
        self.assertEqual(
            'its handlers (reset, wipe) failed 3 times; the last time: '
            'line | no such ioctl',
            device.quarantine_reason,
        )
        last = ledger.history(self.db, device.uuid)[-1]
        self.assertEqual(
            ('not-prepared', 'quarantined', 'line | no such ioctl'),
            (last.action, last.to_state, last.reason),
        )
        self.assertEqual({}, self.due())
        self.refused('h', base.request('gpu'))

    def test_retry_has_no_bound(self) -> None:
        self.gpu(on_failure='retry')
        for _ in range(5):
            self.assertEqual('cleaning', self.end(succeeded=False))
        self.assertEqual(6, self.due()[_ONE].attempt)

    def test_lost_answer_does_not_count_twice(self) -> None:
        todo = self.unclean()
        for _ in range(5):
            self.assertEqual(
                'cleaning', self.end(fence=todo.fence, succeeded=False)
            )
        self.assertEqual(2, self.due()[_ONE].attempt)
        fence = self.due()[_ONE].fence
        for _ in range(2):
            self.assertEqual('available', self.end(fence=fence))

    def test_old_fence_changes_nothing(self) -> None:
        old = self.unclean().fence
        self.end()
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        before = self.device()
        self.assertFalse(self.may(_ONE, old))
        for succeeded in (True, False):
            self.assertEqual(
                'claimed', self.end(fence=old, succeeded=succeeded)
            )
        preparing.progress(self.db, 'h', _ONE, old, 50, 'late')
        self.assertEqual(before, self.device())
        self.free()
        # It is cleaning again, and the old answer does not make it available.
        self.assertEqual('cleaning', self.end(fence=old))

    def test_end_of_an_older_attempt_is_not_in_the_ledger(self) -> None:
        todo = self.unclean()
        self.assertTrue(self.may(_ONE, todo.fence))
        for action in ('quarantine', 'clean'):
            operators.act(self.db, f'h/{_ONE}', action, 'odd', 'op')
        self.assertEqual('cleaning', self.end(_ONE, todo.fence))
        device = self.device()
        self.assertIsNone(device.preparation_running)
        history = ledger.history(self.db, device.uuid)
        self.assertEqual('clean', history[-1].action)

    def test_progress(self) -> None:
        fence = self.unclean().fence
        preparing.progress(self.db, 'h', _ONE, fence, 140, 'sanitize\tlog\n')
        device = self.device()
        self.assertEqual(100, device.preparation_percent)
        self.assertIn('sanitize', str(device.preparation_text))
        self.end(fence=fence)
        self.assertIsNone(self.device().preparation_percent)

    def test_unknown_device(self) -> None:
        self.assertFalse(self.may('0000:77:00.0', 1))
        self.assertFalse(preparing.may_prepare(self.db, 'x', _ONE, 1))
        self.gpu()
        self.assertRaises(
            exception.PciDeviceNotFound, self.end, '0000:77:00.0', 1
        )
        self.assertEqual([], preparing.due(self.db, 'x'))


class ExclusionTest(PreparationTest):
    def test_vf_waits_for_pf_and_pf_for_held_vfs(self) -> None:
        self.report('h', base.family(3, 2, **_HANDLERS))
        pf = base.pf(3).address
        self.assertEqual([pf], list(self.due()))
        self.end(pf)
        vfs = sorted(self.due())
        self.assertEqual(2, len(vfs))
        self.refused('h', base.request('pf'))
        for address in vfs:
            self.end(address)
        self.claim('h', base.request('vf'), instance_uuid=self.owner)
        # An operator wants the physical function to be cleaned.
        operators.act(self.db, f'h/{pf}', 'clean', '', 'op')
        fence = self.device(pf).preparation or 0
        self.assertEqual({}, self.due())
        self.assertFalse(self.may(pf, fence))
        self.refused('h', base.request('vf'))
        [freed] = self.free()
        self.assertEqual([pf], list(self.due()))
        self.assertTrue(self.may(pf, fence))
        self.assertFalse(self.may(freed.address, freed.preparation or 0))
        self.end(pf)
        self.assertEqual([freed.address], list(self.due()))
        # The other virtual function is free beside it, the card is not.
        self.refused('h', base.request('pf'))
        self.claim('h', base.request('vf'))

    def test_group(self) -> None:
        self.report('h', base.card(1, **_HANDLERS))
        base.create_card_flavors(self.db)
        for address in self.due():
            self.end(address)
        both = [base.request('card'), base.request('sound')]
        self.claim('h', *both, instance_uuid=self.owner)
        [first] = self.free('h', [both[0].request_id])
        # Its reset would reach the device that the instance still has.
        self.assertEqual({}, self.due())
        self.assertFalse(self.may(first.address, first.preparation or 0))
        [second] = self.free()
        self.assertEqual({first.address, second.address}, self.due().keys())
        self.end(first.address)
        # Nobody gets it before the other one is clean.
        self.refused('h', base.request('card'))
        self.end(second.address)
        self.claim('h', base.request('card'))

    def test_quarantined_member(self) -> None:
        self.report('h', base.card(1))
        base.create_card_flavors(self.db)
        operators.act(self.db, f'h/{_ONE}', 'quarantine', 'hot', 'op')
        self.refused('h', base.request('sound'))
        self.assertEqual(
            {'quarantined', 'available'}, set(self.states('h').values())
        )


class OperatorTest(PreparationTest):
    def act(self, action: str, reason: str = '') -> objects.PciDevice:
        return operators.act(self.db, f'h/{_ONE}', action, reason, 'op')

    def test_clean(self) -> None:
        self.gpu(handlers=[])
        error = self.assertRaises(exception.Invalid, self.act, 'clean')
        self.assertIn('no handlers', error.text)
        self.gpu()
        # It was available before it had handlers, and still is.
        self.assertEqual('available', self.device().state)
        self.assertEqual('cleaning', self.act('clean').state)
        self.assertEqual('clean', self.due()[_ONE].step)
        self.assertEqual('cleaning', self.act('clean').state)
        self.end()
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        self.assertRaises(exception.DeviceStateConflict, self.act, 'clean')

    def test_quarantine_while_cleaning(self) -> None:
        fence = self.unclean().fence
        self.assertTrue(self.may(_ONE, fence))
        device = self.act('quarantine', 'smells')
        self.assertEqual('smells', device.quarantine_reason)
        self.assertFalse(self.may(_ONE, fence))
        # The agent may still be at work: nobody must get the device.
        error = self.assertRaises(
            exception.DeviceStateConflict, self.act, 'release', 'hurry'
        )
        self.assertIn('being prepared', error.text)
        self.assertEqual('quarantined', self.end(fence=fence, succeeded=False))
        refused = self.assertRaises(exception.Invalid, self.act, 'release')
        self.assertIn('was not prepared', refused.text)
        self.assertEqual('available', self.act('release', 'erased').state)

    def test_quarantined_twice(self) -> None:
        """Also a device that was only being set up."""
        new = base.gpu(9, handlers=['reset'], serial_number='S9')
        self.report('h', [new])
        place = f'h/{new.address}'
        self.assertEqual('setup', lookup.get(self.db, place).preparation_step)
        for reason in ('smells', 'burns'):
            device = operators.act(self.db, place, 'quarantine', reason, 'op')
            self.assertEqual(
                ('quarantined', 'smells'),
                (device.state, device.quarantine_reason),
            )

    def test_quarantined_device_can_be_cleaned_instead(self) -> None:
        fence = self.unclean().fence
        self.assertTrue(self.may(_ONE, fence))
        self.act('quarantine', 'smells')
        self.act('clean')
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual('cleaning', self.end(fence=fence))
        self.assertEqual('available', self.end())
        self.assertIsNone(self.device().quarantine_reason)

    def test_disabled_device_is_left_alone(self) -> None:
        fence = self.unclean().fence
        self.assertEqual('disabled', self.act('disable', 'hot').state)
        self.assertEqual({}, self.due())
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual('cleaning', self.act('enable').state)
        self.assertTrue(self.may(_ONE, fence))


class NotesTest(PreparationTest):
    def test_notes_of_states(self) -> None:
        """Where another state hides the status, nothing is noted."""
        gpus = [base.gpu(n, **_HANDLERS) for n in range(1, 5)]
        self.report('h', gpus)
        for number, (action, reason) in enumerate(
            [
                ('disable', 'hot'),
                ('quarantine', 'odd'),
                ('quarantine', 'away'),
            ],
            start=2,
        ):
            name = f'h/{gpus[number - 1].address}'
            operators.act(self.db, name, action, reason, 'op')
        self.report('h', gpus[:3], withdrawn=[gpus[3].address])
        with self.db.write() as connection:
            node_id = hosts.lock(connection, 'h')
            [total] = states.of_host(connection, node_id)
        self.assertEqual(
            {
                'cleaning': 1,
                'disabled': 1,
                'quarantined': 1,
                'withdrawn': 1,
            },
            total.states,
        )
        notes = {s: list(texts) for s, texts in total.notes.items() if texts}
        self.assertEqual({'cleaning', 'quarantined'}, set(notes))
        self.assertEqual(1, len(notes['cleaning']))
        self.assertEqual(['odd'], notes['quarantined'])


class HardwareTest(PreparationTest):
    def test_unclean_device_that_vanishes(self) -> None:
        fence = self.unclean().fence
        self.report('h', [])
        self.assertEqual('missing', self.device().state)
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual('cleaning', self.gpu().state)
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual('cleaning', self.end(fence=fence))
        self.assertEqual('clean', self.due()[_ONE].step)

    def test_new_device_that_vanishes_leaves_nothing(self) -> None:
        self.gpu()
        self.report('h', [])
        self.assertEqual({}, self.states())

    def test_other_hardware(self) -> None:
        other = {'product_id': '20b0'}
        # New hardware replaces new hardware; its setup begins again.
        fence = self.gpu().preparation
        self.assertEqual('cleaning', self.gpu(**other).state)
        self.assertGreater(self.device().preparation or 0, fence or 0)
        self.gpu()
        self.end()
        # And available hardware, too.
        self.assertEqual('cleaning', self.gpu(**other).state)
        self.gpu()
        fence = self.unclean().fence
        # But what an instance has left data on may be elsewhere now.
        self.assertEqual('conflict', self.gpu(**other).state)
        self.assertEqual({}, self.due())
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual('cleaning', self.end(fence=fence))
        resolving.resolve(self.db, f'h/{_ONE}', None, 'it burnt', 'op')
        self.assertEqual('setup', self.gpu(**other).preparation_step)

    def test_hardware_of_a_conflict_is_not_wiped(self) -> None:
        """What appears may be the hardware of the device in conflict."""
        self.held()
        self.report(
            'h',
            [
                base.gpu(1, product_id='20b0', **_HANDLERS),
                base.gpu(2, **_HANDLERS),
            ],
        )
        self.assertEqual(
            {_ONE: 'conflict', _TWO: 'disabled'}, self.states('h')
        )
        self.assertEqual({}, self.due())
        resolving.resolve(self.db, f'h/{_ONE}', _TWO, 'moved', 'op')
        self.assertEqual('claimed', self.device(_TWO).state)

    def test_new_hardware_to_be_confirmed(self) -> None:
        self.report('h', [base.gpu(1, confirm_new=True, **_HANDLERS)])
        self.assertEqual('disabled', self.device().state)
        self.assertEqual({}, self.due())
        operators.act(self.db, f'h/{_ONE}', 'enable', '', 'op')
        self.assertEqual('setup', self.due()[_ONE].step)

    def test_moved_device(self) -> None:
        serial = {'serial_number': 'S1'}
        self.gpu(**serial)
        self.end()
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        self.free()
        fence = self.due()[_ONE].fence
        self.report('h', [base.gpu(2, **_HANDLERS, **serial)])
        self.assertEqual({_TWO: 'cleaning'}, self.states('h'))
        self.assertEqual('clean', self.due()[_TWO].step)
        self.assertGreater(self.due()[_TWO].fence, fence)

    def test_refused_device_is_set_up_when_it_is_offered(self) -> None:
        refused = base.gpu(1, refusal='it is mounted', **_HANDLERS)
        self.report('h', [], refused=[refused])
        self.assertEqual({}, self.due())
        self.assertEqual('cleaning', self.gpu().state)

    def test_handlers_change(self) -> None:
        fence = self.unclean().fence
        self.gpu(handlers=['wipe'])
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual(['wipe'], self.due()[_ONE].handlers)
        self.gpu(handlers=[])
        self.assertEqual('quarantined', self.device().state)
        self.assertIn('no handler', str(self.device().quarantine_reason))

    def test_physical_function_waits_for_an_adopted_vf(self) -> None:
        """A new database does not know what running guests have."""
        family = base.family(3, 1, **_HANDLERS)
        self.report('h', family)
        pf, vf = (device.address for device in family)
        fence = self.due()[pf].fence
        adoption.adopt(self.db, 'h', self.owner, 'r', [vf], 'test')
        self.assertEqual({}, self.due())
        self.assertFalse(self.may(pf, fence))
        self.free()
        self.assertEqual([pf], list(self.due()))

    def test_adopted_device_is_left_alone(self) -> None:
        """nova-compute finds out that an instance has a device already."""
        fence = self.gpu().preparation or 0
        self.assertTrue(self.may(_ONE, fence))
        adoption.adopt(self.db, 'h', self.owner, 'r', [_ONE], 'test')
        self.assertFalse(self.may(_ONE, fence))
        self.assertEqual('allocated', self.end(fence=fence))


class StartTest(PreparationTest):
    def boot(self, text: str | None) -> list[str]:
        """Boot an instance; delete it again if its guest does not start."""
        [device] = self.claim(
            'h', base.request('gpu'), instance_uuid=base.new_id()
        )
        owner = str(device.instance_uuid)
        transitions.allocate(self.db, 'h', owner, 'test')
        if text is None:
            starts.succeeded(self.db, 'h', owner, 'test')
        else:
            starts.failed(self.db, 'h', owner, text, 'test')
        transitions.free(self.db, owner, 'test', 'h')
        return [str(device.address)]

    def test_failed_device_goes_last(self) -> None:
        # On different NUMA nodes, and so in different pools.
        self.report('h', [base.gpu(1), base.gpu(2, numa_node=1)])
        self.assertEqual([_ONE], self.boot('vfio: busy'))
        for _ in range(3):
            self.assertEqual([_TWO], self.boot(None))
        # It is still there for whoever needs both.
        self.claim('h', base.request('gpu', count=2))

    def test_quarantine(self) -> None:
        self.report('h', [base.gpu(1)])
        for _ in range(2):
            self.boot('vfio: busy')
        self.assertEqual(2, self.device().failed_starts)
        self.boot(None)
        device = self.device()
        self.assertEqual(
            (0, [], None),
            (
                device.failed_starts,
                device.failed_instances,
                device.start_failure,
            ),
        )
        for _ in range(3):
            self.boot('vfio: error opening /dev/vfio/7')
        device = self.device()
        self.assertEqual('quarantined', device.state)
        self.assertIn(
            'error opening /dev/vfio/7', str(device.quarantine_reason)
        )
        last = ledger.history(self.db, device.uuid)[-1]
        self.assertEqual(
            ('free', device.quarantine_reason), (last.action, last.reason)
        )
        after = operators.act(self.db, device.uuid, 'release', '', 'op')
        self.assertEqual(
            ('available', 0, None),
            (after.state, after.failed_starts, after.start_failure),
        )

    def test_other_ends_do_not_count(self) -> None:
        self.report('h', [base.gpu(1)])
        for _ in range(5):
            self.claim('h', base.request('gpu'), instance_uuid=self.owner)
            transitions.abort(self.db, 'h', self.owner, 'test')
            self.claim('h', base.request('gpu'), instance_uuid=self.owner)
            transitions.allocate(self.db, 'h', self.owner, 'test')
            self.free()
        self.assertEqual(0, self.device().failed_starts)

    def test_only_the_named_device_is_to_blame(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.claim('h', base.request('gpu', count=2), instance_uuid=self.owner)
        text = f'vfio {_TWO}: group 7 is not viable'
        starts.failed(self.db, 'h', self.owner, text, 'test')
        self.free()
        self.assertEqual(
            [0, 1],
            [self.device(a).failed_starts for a in (_ONE, _TWO)],
        )

    def test_report_of_a_start_is_repeated(self) -> None:
        self.report('h', [base.gpu(1)])
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        for _ in range(3):
            starts.failed(self.db, 'h', self.owner, 'busy', 'test')
        actions = [
            e.action for e in ledger.history(self.db, self.device().uuid)
        ]
        self.assertEqual(['appear', 'claim', 'start-failed'], actions)
        self.free()
        self.assertEqual(1, self.device().failed_starts)
