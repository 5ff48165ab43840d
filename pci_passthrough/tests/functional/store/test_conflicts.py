# SPDX-License-Identifier: Apache-2.0
"""Hardware that moves or is exchanged under its holder."""

import functools

import fixtures
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import resolving
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.store.views import census
from pci_passthrough.store.views import explanations
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


def usb(bus: int) -> objects.PciDevice:
    return base.gpu(
        bus, vendor_id='1b21', product_id='2142', pci_class='0c0330'
    )


class HeldGpuTest(base.ClaimTest):
    """A GPU is held at bus 1; another one is free at bus 2."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.gpus = [
            base.gpu(1, serial_number='S1', driver='nvidia'),
            base.gpu(2, serial_number='S2', driver='nvidia'),
        ]
        self.report('h', self.gpus)
        [self.held] = self.claim(
            'h', base.request('gpu'), instance_uuid=self.owner
        )
        transitions.allocate(self.db, 'h', self.owner, 'test')

    def device(self, bus: int) -> objects.PciDevice:
        return lookup.get(self.db, f'h/0000:{bus:02x}:00.0')

    def events(self, bus: int) -> list[tuple[str, str | None, str | None]]:
        uuid = lookup.uuid_of('h', f'0000:{bus:02x}:00.0')
        return [
            (e.action, e.to_state, e.reason)
            for e in ledger.history(self.db, uuid)
        ]

    def put_usb_in_its_place(self, *others: objects.PciDevice) -> None:
        self.report('h', [usb(1), self.gpus[1], *others])


class ConflictTest(HeldGpuTest):
    def test_conflict(self) -> None:
        self.put_usb_in_its_place()
        device = self.device(1)
        self.assertEqual('conflict', device.state)
        self.assertEqual(
            '1b21:2142 of class 0c0330 is at its address, instead of '
            '10de:2330 serial number S1',
            device.conflict,
        )
        self.assertEqual(
            (self.owner, '10de', 'S1'),
            (device.instance_uuid, device.vendor_id, device.serial_number),
        )
        self.assertEqual(
            ('conflict', 'conflict', device.conflict), self.events(1)[-1]
        )
        line = next(
            text
            for text in self.log.output.splitlines()
            if 'is in conflict' in text
        )
        for text in ('Host h', device.address, self.owner, '1b21', 'S1'):
            self.assertIn(text, line)
        # nova-compute learns it from both.
        for held in (
            trackers.register(self.db, 'h', '1').held,
            trackers.devices_of(self.db, 'h'),
        ):
            [mine] = [d for d in held if d.instance_uuid == self.owner]
            self.assertEqual(device.conflict, mine.conflict)

    def test_nothing_of_that_kind_is_given(self) -> None:
        self.put_usb_in_its_place()
        self.assertEqual('disabled', self.device(2).state)
        self.assertEqual(
            [('gpu', 'all_held', 1, 0)],
            self.refused('h', base.request('gpu')),
        )
        # Nor another one, which appears later.
        third = base.gpu(3, serial_number='S3')
        self.put_usb_in_its_place(third)
        self.assertEqual('disabled', self.device(3).state)
        # Other hosts are not concerned.
        self.report('other', [base.gpu(9)])
        self.claim('other', base.request('gpu'))

    def test_explain_and_metrics_show_it(self) -> None:
        self.put_usb_in_its_place()
        flavor = flavor_lookup.get(self.db, 'gpu')
        [answer] = explanations.explain(self.db, base.LIMITS, flavor).hosts
        self.assertIn('1 conflict, 1 disabled', answer.detail)
        counts = census.take(self.db, base.TRACKED).devices
        [states] = [
            states
            for group, states in counts.items()
            if group.pci_flavor == 'gpu'
        ]
        self.assertEqual(1, states['conflict'])

    def test_devices_that_become_free_meanwhile(self) -> None:
        other = base.new_id()
        self.claim('h', base.request('gpu'), instance_uuid=other)
        self.put_usb_in_its_place()
        transitions.free(self.db, other, 'test')
        self.assertEqual('disabled', self.device(2).state)
        self.refused('h', base.request('gpu'))

    def test_device_that_is_released_meanwhile(self) -> None:
        uuid = self.device(2).uuid
        operators.act(self.db, uuid, 'quarantine', 'odd', 'op')
        self.put_usb_in_its_place()
        operators.act(self.db, uuid, 'release', 'fine', 'op')
        self.assertEqual('disabled', self.device(2).state)
        self.refused('h', base.request('gpu'))

    def test_operators_cannot_enable_what_is_withheld(self) -> None:
        self.put_usb_in_its_place()
        error = self.assertRaises(
            exception.DeviceStateConflict,
            operators.act,
            self.db,
            self.device(2).uuid,
            'enable',
            'I know it',
            'op',
        )
        self.assertIn('resolve it first', error.text)
        self.assertRaises(
            exception.Invalid,
            operators.act,
            self.db,
            self.device(2).uuid,
            'disable',
            str(self.device(2).disabled_reason),
            'op',
        )

    def test_reason_of_an_operator_stays(self) -> None:
        operators.disable(self.db, self.device(2).uuid, 'broken', 'op')
        self.put_usb_in_its_place()
        self.assertEqual('broken', self.device(2).disabled_reason)
        self.report('h', self.gpus)
        self.assertEqual('broken', self.device(2).disabled_reason)
        enabled = operators.enable(self.db, self.device(2).uuid, '', 'op')
        self.assertEqual('available', enabled.state)
        operators.disable(self.db, enabled.uuid, 'broken', 'op')
        self.put_usb_in_its_place()
        enabled = operators.enable(self.db, enabled.uuid, '', 'op')
        self.assertEqual('disabled', enabled.state)

    def test_hardware_comes_back(self) -> None:
        self.put_usb_in_its_place()
        self.report('h', self.gpus)
        self.assertEqual('allocated', self.device(1).state)
        self.assertEqual('available', self.device(2).state)
        self.claim('h', base.request('gpu'))

    def test_end_of_the_instance_resolves_nothing(self) -> None:
        self.put_usb_in_its_place()
        self.free()
        device = self.device(1)
        self.assertEqual(
            ('conflict', None), (device.state, device.instance_uuid)
        )
        self.refused('h', base.request('gpu'))
        self.put_usb_in_its_place()
        self.assertEqual('10de', self.device(1).vendor_id)
        self.refused('h', base.request('gpu'))

    def test_older_conductor_or_agent_without_identities(self) -> None:
        self.report('h', [self.gpus[1]], withdrawn=[self.held.address])
        self.assertEqual('allocated', self.device(1).state)

    def test_missing_device_may_be_in_a_new_slot(self) -> None:
        self.report('h', [self.gpus[1]])
        self.assertEqual('missing', self.device(1).state)
        self.assertEqual('available', self.device(2).state)
        self.report('h', [self.gpus[1], base.gpu(3)])
        self.assertEqual('disabled', self.device(3).state)
        self.claim('h', base.request('gpu'))
        self.refused('h', base.request('gpu'))
        self.free()
        self.assertEqual('available', self.device(3).state)


class TokenTest(base.ClaimTest):
    """A USB token is held, and plugged in elsewhere."""

    def move(self, **facts: str | None) -> dict[str, str | None]:
        """Return the holders by address after the token has moved."""
        self.report('h', [base.token(1, **facts)])
        self.claim('h', base.request('token'), instance_uuid=self.owner)
        self.report('h', [base.token(4, **{'serial_number': 'T1', **facts})])
        return {
            d.address: d.instance_uuid for d in lookup.get_all(self.db, 'h')
        }

    def test_serial_number(self) -> None:
        self.assertEqual({'1-4': self.owner}, self.move())

    def test_without_serial_number(self) -> None:
        self.assertEqual(
            {'1-1': self.owner, '1-4': None}, self.move(serial_number=None)
        )
        self.assertEqual('missing', lookup.get(self.db, 'h/1-1').state)


class MoveTest(HeldGpuTest):
    """The serial number tells where the hardware is now."""

    def test_move(self) -> None:
        created = self.device(1).created_at
        there = base.gpu(5, serial_number='S1', numa_node=1, driver='nvidia')
        self.put_usb_in_its_place(there)
        device = self.device(5)
        self.assertEqual(
            (self.owner, 'allocated', 1, created, self.held.request_id),
            (
                device.instance_uuid,
                device.state,
                device.numa_node,
                device.created_at,
                device.request_id,
            ),
        )
        self.assertEqual('available', self.device(2).state)
        self.assertEqual('available', self.device(1).state)
        self.assertEqual('1b21', self.device(1).vendor_id)
        [_, _, _, leave, appear] = self.events(1)
        self.assertEqual(
            ('move', None, 'the device moved to 0000:05:00.0; the serial '
             'number proves it'),
            leave,
        )  # fmt: skip
        self.assertEqual('appear', appear[0])
        [arrive] = self.events(5)
        self.assertEqual(
            ('move', 'allocated', 'the device moved here from 0000:01:00.0; '
             'the serial number proves it'),
            arrive,
        )  # fmt: skip
        freed = self.free()
        self.assertEqual(['0000:05:00.0'], base.addresses(freed))

    def test_two_held_devices_change_places(self) -> None:
        other = base.new_id()
        self.claim('h', base.request('gpu'), instance_uuid=other)
        self.report(
            'h',
            [
                base.gpu(1, serial_number='S2', driver='nvidia'),
                base.gpu(2, serial_number='S1', driver='nvidia'),
            ],
        )
        self.assertEqual(
            [(other, 'S2'), (self.owner, 'S1')],
            [
                (d.instance_uuid, d.serial_number)
                for d in (self.device(1), self.device(2))
            ],
        )

    def test_full_report_is_wanted_after_a_move(self) -> None:
        generation = self.report('h', [usb(1), self.gpus[1]]).generation
        report = base.full_report(
            'h',
            [base.gpu(5, serial_number='S1', driver='nvidia')],
            is_full=False,
            base_generation=generation,
        )
        ack = reports.apply(self.db, report)
        self.assertEqual('allocated', self.device(5).state)
        self.assertFalse(
            hosts.touch(self.db, 'h', ack.generation, report.digest)
        )
        self.assertRaises(exception.PciDeviceNotFound, self.device, 1)


class ReplacedTest(HeldGpuTest):
    def test_free_device_is_exchanged(self) -> None:
        new = base.gpu(2, serial_number='S9', driver='nvidia')
        self.report('h', [self.gpus[0], new])
        self.assertEqual(
            ('replaced', 'available', '10de:2330 serial number S2 -> '
             '10de:2330 serial number S9'),
            self.events(2)[-1],
        )  # fmt: skip
        self.claim('h', base.request('gpu'))

    def test_new_hardware_to_be_confirmed(self) -> None:
        new = base.gpu(
            2, serial_number='S9', driver='nvidia', confirm_new=True
        )
        self.report('h', [self.gpus[0], new])
        self.assertEqual('disabled', self.device(2).state)
        self.refused('h', base.request('gpu'))
        operators.enable(self.db, self.device(2).uuid, 'it is ours', 'op')
        self.report('h', [self.gpus[0], new])
        self.claim('h', base.request('gpu'))


class ResolveTest(HeldGpuTest):
    """An operator says where the hardware is."""

    def resolve(
        self, bus: int, moved_to: int | str | None, reason: str = 'a card'
    ) -> objects.PciDevice:
        if isinstance(moved_to, int):
            moved_to = f'0000:{moved_to:02x}:00.0'
        return resolving.resolve(
            self.db, f'h/0000:{bus:02x}:00.0', moved_to, reason, 'op'
        )

    def in_conflict(self, *others: objects.PciDevice) -> None:
        """Have the host forget serial numbers: nothing proves a move."""
        self.gpus[1].serial_number = None
        self.put_usb_in_its_place(*others)

    def test_moved_to_the_address_of_a_free_device(self) -> None:
        self.in_conflict(base.gpu(3, numa_node=1))
        generation = hosts.get_all(self.db, base.TRACKED)[0].generation
        after = self.resolve(1, 3)
        self.assertEqual(after, self.device(3))
        self.assertEqual(
            ('allocated', self.owner, 1, 'S1'),
            (
                after.state,
                after.instance_uuid,
                after.numa_node,
                after.serial_number,
            ),
        )
        # The free device was the held one; others are back in service.
        self.assertEqual('available', self.device(2).state)
        self.assertRaises(exception.PciDeviceNotFound, self.device, 1)
        self.assertEqual(
            ('resolve', None, 'the device moved to 0000:03:00.0; a card'),
            self.events(1)[-1],
        )
        self.assertEqual(
            (
                'resolve',
                'allocated',
                'the device moved here from 0000:01:00.0; a card',
            ),
            self.events(3)[-1],
        )
        # The agent is asked to tell what is at the old address.
        self.assertFalse(hosts.touch(self.db, 'h', generation, 'd'))
        self.in_conflict(base.gpu(3, numa_node=1))
        self.assertEqual('1b21', self.device(1).vendor_id)
        self.assertEqual('allocated', self.device(3).state)
        self.assertEqual(['0000:03:00.0'], base.addresses(self.free()))

    def test_moved_to_an_address_that_is_not_offered(self) -> None:
        self.in_conflict()
        self.assertEqual('missing', self.resolve(1, 9).state)
        self.report('h', [usb(1), self.gpus[1]], withdrawn=['0000:09:00.0'])
        self.assertEqual('allocated', self.device(9).state)

    def test_an_operator_who_is_wrong(self) -> None:
        self.in_conflict(usb(4))
        error = self.assertRaises(exception.Invalid, self.resolve, 1, 4)
        self.assertIn('but 1b21:2142 is at 0000:04:00.0', error.text)
        self.resolve(1, 9)
        self.in_conflict(usb(4), usb(9))
        self.assertEqual('conflict', self.device(9).state)

    def test_gone(self) -> None:
        self.in_conflict()
        after = self.resolve(1, None)
        self.assertIsNone(after.instance_uuid)
        self.assertRaises(exception.PciDeviceNotFound, self.device, 1)
        self.assertEqual([], lookup.get_all(self.db, None, self.owner))
        self.assertEqual('available', self.device(2).state)
        self.assertEqual(
            ('gone', None, 'a card'),
            self.events(1)[-1],
        )
        self.in_conflict()
        self.assertEqual('available', self.device(1).state)
        self.assertEqual('1b21', self.device(1).vendor_id)

    def test_gone_device_is_not_adopted_again(self) -> None:
        self.in_conflict()
        self.resolve(1, None)
        self.in_conflict()
        adopt = functools.partial(
            adoption.adopt, self.db, 'h', self.owner, 'r', ['0000:01:00.0']
        )
        error = self.assertRaises(
            exception.DeviceStateConflict, adopt, 'nova-compute'
        )
        self.assertEqual('ended by an operator', error.state)
        self.assertEqual('available', self.device(1).state)

    def test_gone_without_holder(self) -> None:
        self.in_conflict()
        self.free()
        self.resolve(1, None)
        self.claim('h', base.request('gpu'))

    def test_missing(self) -> None:
        self.report('h', [self.gpus[1]])
        self.resolve(1, None, 'the card died')
        self.assertEqual([], lookup.get_all(self.db, None, self.owner))

    def test_order_in_a_row_of_shifts(self) -> None:
        other = base.new_id()
        self.report('h', [self.gpus[0], usb(2)])
        usbs = base.request('usb')
        editing.create(self.db, 'usb', None, match=[{'vendor_id': '1b21'}])
        self.claim('h', usbs, instance_uuid=other)
        nic = base.pf(1)
        shifted = [base.gpu(2), usb(3), nic]
        self.report('h', shifted)
        error = self.assertRaises(
            exception.DeviceStateConflict, self.resolve, 1, 2
        )
        self.assertIn('resolve that conflict first', error.text)
        self.assertEqual(other, self.resolve(2, 3).instance_uuid)
        self.assertEqual('missing', self.resolve(1, 2).state)
        self.report('h', shifted)
        self.assertEqual(
            [(self.owner, 'allocated'), (other, 'claimed')],
            [
                (d.instance_uuid, d.state)
                for d in (self.device(2), self.device(3))
            ],
        )

    def test_what_is_wrong(self) -> None:
        state = exception.DeviceStateConflict
        self.assertRaises(state, self.resolve, 1, None)
        self.assertRaises(state, self.resolve, 2, 5)
        self.assertRaises(exception.PciDeviceNotFound, self.resolve, 7, 8)
        self.in_conflict()
        for moved_to, reason in (
            (1, 'a card'),
            ('here', 'a card'),
            (None, ' '),
            (None, 'two\nlines'),
        ):
            self.assertRaises(
                exception.Invalid, self.resolve, 1, moved_to, reason
            )
        self.assertEqual('conflict', self.device(1).state)
