# SPDX-License-Identifier: Apache-2.0
"""The effect of reports on devices, and reports that are not applied."""

from concurrent import futures
import threading
import time
from typing import Any

from oslo_utils import uuidutils
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.reporting import budget
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import reports
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_FULL = objects.report.Wanted.FULL_REPORT
_NOTHING = objects.report.Wanted.NOTHING


class ReportTest(base.StoreTest):
    def history(self, address: str, host: str = 'h') -> list[Any]:
        """Return (action, from, to) of a device's events."""
        events = ledger.history(self.db, lookup.uuid_of(host, address))
        return [(e.action, e.from_state, e.to_state) for e in events]


class BudgetTest(ReportTest):
    """What one host may have; refused reports leave everything as it was."""

    LIMITS = budget.HostBudget(devices=3, pool_keys=2, tag_bytes=100)

    def apply(
        self, host: str, *devices: objects.PciDevice, **changes: Any
    ) -> objects.ReportAck:
        report = base.full_report(host, devices, **changes)
        return reports.apply(self.db, report, self.LIMITS)

    def check_refused(
        self, noun: str, count: int, *devices: objects.PciDevice
    ) -> None:
        self.apply('h', base.gpu(1))
        before = self.states('h'), len(self.keys())
        error = self.assertRaises(
            exception.HostOverBudget, self.apply, 'h', *devices
        )
        self.assertEqual(
            ('h', noun, count), (error.host, error.noun, error.count)
        )
        self.assertEqual(before, (self.states('h'), len(self.keys())))
        # Neither other hosts nor the host's next report are affected.
        self.apply('other', base.gpu(1), base.gpu(2))
        ack = self.apply('h', base.gpu(1), base.gpu(2))
        self.assertEqual((2, _NOTHING), (ack.generation, ack.wanted))

    def keys(self) -> list[Any]:
        with self.db.read() as connection:
            return list(connection.execute(models.pool_keys.select()))

    def test_devices(self) -> None:
        self.check_refused('devices', 4, *map(base.gpu, range(4)))

    def test_pools(self) -> None:
        tagged = [base.gpu(i, extra_info={'slot': str(i)}) for i in range(3)]
        self.check_refused('pools', 3, *tagged)

    def test_bytes_of_tags(self) -> None:
        tagged = base.gpu(1, extra_info={'a': 'x' * 98 + '\N{EURO SIGN}'})
        self.check_refused('bytes of tags', 102, tagged)

    def test_addresses(self) -> None:
        withdrawn = [f'0000:{i:02x}:00.0' for i in range(128)] * 129
        error = self.assertRaises(
            exception.HostOverBudget, self.apply, 'h', withdrawn=withdrawn
        )
        self.assertEqual(16384, error.most)

    def test_changes_add_up(self) -> None:
        """A report of changes is checked with what is there already."""
        ack = self.apply('h', *map(base.gpu, range(3)))
        changes = {
            'is_full': False,
            'base_generation': ack.generation,
            'withdrawn': [],
        }
        error = self.assertRaises(
            exception.HostOverBudget,
            self.apply,
            'h',
            base.gpu(3),
            **changes,
        )
        self.assertEqual(4, error.count)
        gone = [base.gpu(0).address]
        self.apply('h', base.gpu(3), gone=gone, **changes)
        self.assertEqual(3, len(self.states('h')))

    def test_defaults(self) -> None:
        limits = budget.HostBudget()
        self.assertEqual((4096, 256), (limits.devices, limits.pool_keys))


class ApplyTest(ReportTest):
    def test_one_bad_fact_costs_one_fact(self) -> None:
        self.report(
            'h',
            [
                base.gpu(1),
                base.gpu(2, devname='eth\0', mac_address='80:' * 20),
                base.gpu(3, link_speed=4_000_000_000, offered_by='x' * 5000),
            ],
        )
        devices = {d.address: d for d in lookup.get_all(self.db, 'h')}
        self.assertEqual(3, len(devices))
        two = devices[base.gpu(2).address]
        self.assertEqual((None, None), (two.devname, two.mac_address))
        three = devices[base.gpu(3).address]
        self.assertIsNone(three.link_speed)
        self.assertEqual(4096, len(three.offered_by or ''))

    def test_one_bad_device_costs_one_device(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        ack = self.report(
            'h',
            [
                base.gpu(1),
                base.gpu(2, driver='d' * 65),
                base.gpu(3, extra_info={'group': 'a\0'}),
            ],
            digest='d',
        )
        self.assertEqual(_NOTHING, ack.wanted)
        self.assertEqual({base.gpu(1).address: 'available'}, self.states())
        self.assertTrue(hosts.touch(self.db, 'h', ack.generation, 'd'))

    def test_host_whose_name_cannot_be_recorded(self) -> None:
        for host in ('', 'h' * 256, 'h\0'):
            error = self.assertRaises(
                exception.Invalid, self.report, host, [base.gpu(1)]
            )
            self.assertIn('is not a name of a host', str(error))
        self.assertEqual({}, self.states())

    def test_refused_device_is_shown_with_its_reason(self) -> None:
        refused = base.gpu(2, refusal='its disk is mounted')
        for _ in range(2):
            self.report('h', [base.gpu(1)], refused=[refused])
            device = lookup.get(self.db, f'h/{refused.address}')
            self.assertEqual('refused', device.state)
            self.assertEqual('its disk is mounted', device.refusal)
        self.assertEqual(
            [('refuse', None, 'refused')], self.history(refused.address)
        )
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.assertEqual(
            {base.gpu(i).address: 'available' for i in (1, 2)}, self.states()
        )
        self.report('h', [base.gpu(1)], refused=[refused])
        [*_, last] = ledger.history(
            self.db, lookup.uuid_of('h', refused.address)
        )
        self.assertEqual('its disk is mounted', last.reason)

    def test_given_out(self) -> None:
        self.flavors()
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.assertEqual([], lookup.given_out(self.db, 'h'))
        [held] = self.claim('h', base.request('gpu'))
        transitions.free(self.db, str(held.instance_uuid), 'test')
        self.assertEqual([held.address], lookup.given_out(self.db, 'h'))
        self.assertEqual([], lookup.given_out(self.db, 'other'))
        self.assertEqual([], lookup.given_out(self.db, 'h\0'))
        # Whatever appears after it was removed may be another device.
        self.report('h', [])
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.assertEqual([], lookup.given_out(self.db, 'h'))

    def test_what_changes_by_itself_is_not_in_the_ledger(self) -> None:
        device = base.vf(3, 1, mac_address='52:54:00:00:00:01')
        self.report('h', [device])
        passing = device.replace(
            link_speed=25000, devname='eth9', mac_address='52:54:00:00:00:02'
        )
        self.report('h', [passing])
        self.assertEqual(
            [('appear', None, 'available')], self.history(device.address)
        )
        self.assertEqual(25000, lookup.get_all(self.db)[0].link_speed)

    def test_devices_are_kept_as_reported(self) -> None:
        device = base.vf(
            3,
            1,
            numa_node=None,
            devname='eth7',
            mac_address='52:54:00:00:00:01',
            link_speed=25000,
            total_vfs=8,
            capabilities=['rx', 'tx'],
            extra_info={'physical_network': 'phys\u00efk', 'a': "';--"},
            offered_by='{"address": "0000:03:01.1"}',
        )
        self.report('h', [device])
        (stored,) = lookup.get_all(self.db, 'h')
        for name in objects.device.REPORTED_FIELDS:
            self.assertEqual(
                getattr(device, name), getattr(stored, name), name
            )
        self.assertEqual(stored, lookup.get(self.db, 'h/0000:03:01.1'))
        self.assertEqual(stored, lookup.get(self.db, stored.uuid))

    def test_appear_change_remove_and_come_back(self) -> None:
        self.report('h', [base.gpu(1)])
        self.report('h', [base.gpu(1, driver=None, extra_info={'a': 'b'})])
        (device,) = lookup.get_all(self.db)
        self.assertEqual(
            (None, {'a': 'b'}), (device.driver, device.extra_info)
        )
        self.report('h', [])
        self.assertEqual({}, self.states())
        self.report('h', [base.gpu(1)])
        self.assertEqual(
            [
                ('appear', None, 'available'),
                ('change', 'available', 'available'),
                ('remove', 'available', None),
                ('appear', None, 'available'),
            ],
            self.history('0000:01:00.0'),
        )

    def test_change_says_what(self) -> None:
        self.report('h', [base.gpu(1)])
        self.report('h', [base.gpu(1, numa_node=1)])
        *_, event = ledger.history(
            self.db, lookup.uuid_of('h', '0000:01:00.0')
        )
        self.assertEqual('numa_node: 0 -> 1', event.reason)
        self.assertEqual('agent@h', event.actor)

    def test_what_offers_a_device(self) -> None:
        entry = '{"match": {"vendor_id": "10de"}}'
        self.report('h', [base.gpu(1, offered_by=entry)])
        [device] = lookup.get_all(self.db)
        self.assertEqual(entry, device.offered_by)
        self.report('h', [base.gpu(1, offered_by='{}')])
        *_, event = ledger.history(self.db, device.uuid)
        self.assertEqual(f'offered_by: {entry} -> {{}}', event.reason)

    def test_agent_that_is_upgraded_and_back(self) -> None:
        def of_1_0(address: int) -> objects.PciDevice:
            device = base.gpu(address)
            facts = device.reported()
            del facts['offered_by']
            return objects.PciDevice(**facts)

        self.flavors()
        self.report('h', [of_1_0(1), of_1_0(2)])
        self.claim('h', base.request('gpu'))
        for device in lookup.get_all(self.db):
            self.assertIsNone(device.offered_by)
        events = self.history('0000:02:00.0')
        new = [base.gpu(n, offered_by='{}', vgpu_type='558') for n in (1, 2)]
        self.report('h', new)
        for device in lookup.get_all(self.db):
            self.assertEqual('{}', device.offered_by)
            self.assertEqual('558', device.vgpu_type)
        # That more is known now is nothing that happened to a device.
        self.assertEqual(events, self.history('0000:02:00.0'))
        self.report('h', [of_1_0(1), base.gpu(2, numa_node=1)])
        self.assertEqual(
            [None, None], [d.offered_by for d in lookup.get_all(self.db)]
        )
        self.report('h', [new[0], base.gpu(2, offered_by='{}')])
        [*_, event] = ledger.history(
            self.db, lookup.uuid_of('h', '0000:02:00.0')
        )
        # Together with something that did happen it is told.
        self.assertEqual(
            'numa_node: 1 -> 0; offered_by: None -> {}', event.reason
        )

    def test_withdrawn_and_free_is_removed(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.report('h', [base.gpu(2)], withdrawn=['0000:01:00.0'])
        self.assertEqual({'0000:02:00.0': 'available'}, self.states())

    def test_held_device_survives(self) -> None:
        self.flavors()
        self.report('h', [base.gpu(1)])
        owner = uuidutils.generate_uuid()
        self.claim('h', base.request('gpu'), instance_uuid=owner)
        transitions.allocate(self.db, 'h', owner, 'test')
        self.report('h', [], withdrawn=['0000:01:00.0'])
        (device,) = lookup.get_all(self.db, instance_uuid=owner)
        self.assertEqual('withdrawn', device.presence)
        self.report('h', [])
        (device,) = lookup.get_all(self.db, instance_uuid=owner)
        self.assertEqual(
            ('missing', 'missing'), (device.presence, device.state)
        )
        self.report('h', [base.gpu(1)])
        self.assertEqual({'0000:01:00.0': 'allocated'}, self.states())
        self.assertEqual(
            [
                ('withdraw', 'allocated', 'allocated'),
                ('miss', 'allocated', 'missing'),
                ('return', 'missing', 'allocated'),
            ],
            self.history('0000:01:00.0')[-3:],
        )

    def test_operators_decisions_survive(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        operators.disable(self.db, 'h/0000:01:00.0', 'hot', 'op')
        operators.move(self.db, 'h/0000:02:00.0', 'quarantine', 'dirty', 'op')
        self.report('h', [])
        self.assertEqual({'missing'}, set(self.states().values()))
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.assertEqual(
            {'0000:01:00.0': 'disabled', '0000:02:00.0': 'quarantined'},
            self.states(),
        )

    def test_decision_taken_back_while_gone(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2)])
        operators.disable(self.db, 'h/0000:01:00.0', 'hot', 'op')
        operators.move(self.db, 'h/0000:02:00.0', 'quarantine', 'dirty', 'op')
        self.report('h', [])
        operators.enable(self.db, 'h/0000:01:00.0', '', 'op')
        operators.move(self.db, 'h/0000:02:00.0', 'release', 'clean', 'op')
        self.assertEqual({}, self.states())
        self.assertEqual(
            ('remove', 'missing', None), self.history('0000:02:00.0')[-1]
        )


class ProtocolTest(ReportTest):
    def test_partial_report(self) -> None:
        ack = self.report('h', [base.gpu(1), base.gpu(2), base.gpu(3)])
        self.assertEqual((1, _NOTHING), (ack.generation, ack.wanted))
        ack = self.report(
            'h',
            [base.gpu(4)],
            withdrawn=['0000:01:00.0'],
            is_full=False,
            base_generation=1,
            gone=['0000:02:00.0', '0000:99:00.0'],
        )
        self.assertEqual((2, _NOTHING), (ack.generation, ack.wanted))
        self.assertEqual({'0000:03:00.0', '0000:04:00.0'}, set(self.states()))

    def test_wrong_base(self) -> None:
        self.report('h', [base.gpu(1)])
        for generation in (0, 2):
            self._refused(is_full=False, base_generation=generation)

    def test_overtaken(self) -> None:
        first = base.full_report('h', [base.gpu(1)])
        second = base.full_report('h', [base.gpu(1), base.gpu(2)])
        reports.apply(self.db, second)
        ack = reports.apply(self.db, first)
        self.assertEqual(
            (1, second.sequence, _FULL),
            (ack.generation, ack.sequence, ack.wanted),
        )
        self.assertEqual(2, len(self.states()))

    def test_repeated(self) -> None:
        report = base.full_report('h', [base.gpu(1)])
        first = reports.apply(self.db, report)
        self.assertEqual(first, reports.apply(self.db, report))
        self.assertEqual(1, len(self.history('0000:01:00.0')))

    def test_partial_of_unknown_host(self) -> None:
        ack = self.report('h', [base.gpu(1)], is_full=False)
        self.assertEqual((0, _FULL), (ack.generation, ack.wanted))
        self.assertEqual([], hosts.get_all(self.db, base.TRACKED))

    def test_first_sequence_may_be_zero(self) -> None:
        ack = self.report('h', [base.gpu(1)], sequence=0)
        self.assertEqual(_NOTHING, ack.wanted)

    def test_negative_sequence(self) -> None:
        for sequence in (-1, -(2**63), -(2**70)):
            self.assertRaises(
                exception.Invalid, self.report, 'h', [], sequence=sequence
            )
        self.assertEqual([], hosts.get_all(self.db, base.LIMITS))

    def test_forged_sequence_keeps_nobody_out(self) -> None:
        """Neither what is refused, nor the highest that is accepted."""
        day = 86400 * 10**6
        for sequence in (2**63 - 1, time.time_ns() // 1000 + 2 * day):
            error = self.assertRaises(
                exception.Invalid, self.report, 'h', [], sequence=sequence
            )
            self.assertIn('set the clock', error.text)
        now = time.time_ns() // 1000
        self.report('h', [base.gpu(1)], sequence=now + day)
        ack = self.report('h', [base.gpu(2)], sequence=now)
        self.assertEqual((now + day, _FULL), (ack.sequence, ack.wanted))
        ack = self.report('h', [base.gpu(2)], sequence=ack.sequence + 1)
        self.assertEqual(_NOTHING, ack.wanted)

    def test_sequence_of_a_forgery_in_an_earlier_release(self) -> None:
        self.report('h', [base.gpu(1)])
        nodes = models.compute_nodes
        with self.db.write() as connection:
            connection.execute(nodes.update().values(sequence=2**63 - 1))
        ack = self.report('h', [base.gpu(2)], sequence=time.time_ns() // 1000)
        self.assertEqual(_NOTHING, ack.wanted)
        self.assertEqual({'0000:02:00.0': 'available'}, self.states('h'))

    def test_hosts_are_told_apart_to_the_letter(self) -> None:
        self.report('h', [base.gpu(1)])
        self.report('H', [base.gpu(2)])
        self.assertEqual({'0000:01:00.0': 'available'}, self.states('h'))
        self.assertEqual({'0000:02:00.0': 'available'}, self.states('H'))

    def test_touch(self) -> None:
        ack = self.report('h', [base.gpu(1)], digest='d')
        touched = {
            (host, generation, digest): hosts.touch(
                self.db, host, generation, digest
            )
            for host in ('h', 'other')
            for generation in (ack.generation, ack.generation + 1)
            for digest in ('d', 'e')
        }
        known = [key for key, answer in touched.items() if answer]
        self.assertEqual([('h', ack.generation, 'd')], known)

    def test_touched_host_is_up(self) -> None:
        self.report('h', [base.gpu(1)], digest='d')
        self.assertFalse(hosts.get_all(self.db, store.Limits(0, 180))[0].is_up)
        before = hosts.get_all(self.db, base.TRACKED)[0]
        self.assertTrue(before.is_up)
        hosts.touch(self.db, 'h', 1, 'd')
        after = hosts.get_all(self.db, base.TRACKED)[0]
        self.assertGreater(after.last_report_at, before.last_report_at)
        self.assertEqual(1, after.devices)

    def _refused(self, **changes: Any) -> None:
        before = (
            lookup.get_all(self.db),
            hosts.get_all(self.db, base.TRACKED),
        )
        ack = self.report('h', [base.gpu(7)], **changes)
        self.assertEqual(_FULL, ack.wanted)
        after = (
            lookup.get_all(self.db),
            hosts.get_all(self.db, base.TRACKED),
        )
        self.assertEqual(before, after)


class TogetherTest(ReportTest):
    """Several conductors at once."""

    _CONDUCTORS = 6

    def test_same_new_host_and_keys(self) -> None:
        fleet = [base.gpu(n, extra_info={'k': str(n)}) for n in range(1, 9)]
        last = [base.full_report('h', fleet) for _ in range(self._CONDUCTORS)]
        acks = self._at_once([(reports.apply, report) for report in last])
        newest = max(ack.sequence for ack in acks)
        self.assertEqual(last[-1].sequence, newest)
        self.assertEqual(8, len(self.states('h')))
        for device in fleet:
            self.assertEqual(1, len(self.history(device.address)))

    def test_same_keys_on_new_hosts(self) -> None:
        fleet = [base.gpu(n, extra_info={'k': str(n)}) for n in range(1, 9)]
        names = [f'h{n}' for n in range(self._CONDUCTORS)]
        acks = self._at_once(
            [(reports.apply, base.full_report(n, fleet)) for n in names]
        )
        self.assertEqual({_NOTHING}, {ack.wanted for ack in acks})
        for name in names:
            self.assertEqual(8, len(self.states(name)))
        with self.db.read() as connection:
            self.db.catalog.refresh(connection)
        self.assertEqual(8, len(self.db.catalog.ids()))

    def test_keys_are_purged_meanwhile(self) -> None:
        def change(db: store.Writer, host: str) -> None:
            for number in range(10):
                device = base.gpu(1, extra_info={'tag': str(number % 3)})
                reports.apply(db, base.full_report(host, [device]))

        def purge(db: store.Writer, _: str) -> None:
            for _turn in range(20):
                pool_keys.purge(db)

        self._at_once([(change, 'a'), (change, 'b'), (purge, '')])
        pool_keys.purge(self.db)
        with self.db.read() as connection:
            self.db.catalog.refresh(connection)
        self.assertEqual(1, len(self.db.catalog.ids()))
        self.assertEqual(2, len(lookup.get_all(self.db)))

    def _at_once(self, calls: list[tuple[Any, Any]]) -> list[Any]:
        """Call functions with a database of their own and an argument."""
        barrier = threading.Barrier(len(calls))

        def run(function: Any, argument: Any) -> Any:
            db = store.Writer(self.url)
            try:
                barrier.wait()
                return function(db, argument)
            finally:
                db.close()

        with futures.ThreadPoolExecutor(len(calls)) as pool:
            running = [pool.submit(run, *call) for call in calls]
        return [future.result() for future in running]
