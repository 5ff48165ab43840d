# SPDX-License-Identifier: Apache-2.0
"""Held devices are their hardware: conflicts, moves and withheld devices."""

from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.reporting import preparation
from pci_passthrough.reporting import withholding
from pci_passthrough.tests.unit.reporting import test_changes
from pci_passthrough.tests.unit.reporting import test_snapshot as snapshots

SLOTS = [f'0000:4{i}:00.0' for i in range(5)]
UNKNOWN = '0000:4f:00.0'

GPU = {'vendor_id': '10de', 'product_id': '2330', 'pci_class': '030200'}
NVME = {'vendor_id': '144d', 'product_id': 'a80a', 'pci_class': '010802'}
USB = {'vendor_id': '1b21', 'product_id': '2142', 'pci_class': '0c0330'}


def device(slot: int, kind: dict[str, str], **facts: Any) -> objects.PciDevice:
    return snapshots.device(SLOTS[slot], **{**kind, **facts})


def full(
    *offered: objects.PciDevice, withdrawn: dict[str, str] | None = None
) -> objects.HostReport:
    return reporting.Snapshot.of(offered, withdrawn or {}).full_report(
        **snapshots.HEADER
    )


def known(reported: objects.PciDevice, **values: Any) -> objects.PciDevice:
    state = {
        'status': 'available',
        'presence': 'offered',
        'disabled_reason': None,
        'conflict': None,
    }
    return reported.replace(**{**state, **values})


def text(reported: objects.PciDevice) -> str:
    return str(objects.Identity.of(reported))


class ConflictTest(testtools.TestCase):
    """Other hardware is at the address of a device that is not free."""

    def setUp(self) -> None:
        super().setUp()
        self.mine = known(device(1, GPU), status='allocated')
        self.conflict = {
            'conflict': '1b21:2142 of class 0c0330 is at its address, '
            'instead of 10de:2330',
            'presence': 'missing',
        }

    def only(
        self, before: objects.PciDevice, report: objects.HostReport
    ) -> tuple[str, Any] | None:
        changes = reporting.changes([before], report)
        here = [c for c in changes if c.address == before.address]
        return (here[0].action, here[0].values) if here else None

    def test_offered(self) -> None:
        for status in ('claimed', 'allocated', 'cleaning', 'quarantined'):
            before = self.mine.replace(status=status, preparation_step='clean')
            # An agent at work is at work on other hardware: it begins again.
            begun = preparation.begin('clean') if status == 'cleaning' else {}
            self.assertEqual(
                ('conflict', self.conflict | begun),
                self.only(before, full(device(1, USB))),
            )

    def test_refused(self) -> None:
        usb = device(1, USB, refusal='it is mounted')
        report = reporting.Snapshot.of([], {}, [usb]).full_report(
            **snapshots.HEADER
        )
        self.assertEqual(
            ('conflict', self.conflict), self.only(self.mine, report)
        )

    def test_withdrawn(self) -> None:
        report = full(withdrawn={SLOTS[1]: text(device(1, USB))})
        action, values = self.only(self.mine, report) or ('', {})
        self.assertEqual('conflict', action)
        self.assertEqual(
            '1b21:2142 is at its address, instead of 10de:2330',
            values['conflict'],
        )

    def test_what_is_not_known_is_no_conflict(self) -> None:
        mine = self.mine.replace(serial_number='S1', subsystem_id='0001')
        self.assertIsNone(self.only(mine, full(device(1, GPU))))
        self.assertEqual(
            ('withdraw', {'presence': 'withdrawn'}),
            self.only(mine, full(withdrawn={SLOTS[1]: ''})),
        )
        self.assertEqual(
            ('miss', {'presence': 'missing'}), self.only(mine, full())
        )

    def test_same_kind_with_another_serial_number(self) -> None:
        mine = self.mine.replace(serial_number='S1')
        action, values = self.only(
            mine, full(device(1, GPU, serial_number='S2', driver='nvidia'))
        ) or ('', {})
        self.assertEqual('conflict', action)
        self.assertEqual(
            '10de:2330 serial number S2 of class 030200 is at its address, '
            'instead of 10de:2330 serial number S1',
            values['conflict'],
        )

    def test_it_stays_until_the_hardware_is_back(self) -> None:
        mine = self.mine.replace(**self.conflict)
        self.assertEqual('conflict', mine.state)
        self.assertIsNone(self.only(mine, full(device(1, USB))))
        self.assertIsNone(self.only(mine, full(withdrawn={SLOTS[1]: ''})))
        self.assertEqual(
            ('conflict', {'conflict': 'nothing is at its address, instead of '
             '10de:2330'}),
            self.only(mine, full()),
        )  # fmt: skip
        self.assertEqual(
            ('return', {'conflict': None, 'presence': 'offered'}),
            self.only(mine, full(device(1, GPU))),
        )
        self.assertEqual(
            ('withdraw', {'conflict': None, 'presence': 'withdrawn'}),
            self.only(mine, full(withdrawn={SLOTS[1]: text(self.mine)})),
        )

    def test_it_stays_when_the_instance_is_gone(self) -> None:
        mine = self.mine.replace(status='available', **self.conflict)
        self.assertEqual('conflict', mine.state)
        self.assertIsNone(self.only(mine, full(device(1, USB))))

    def test_a_report_that_does_not_mention_it(self) -> None:
        mine = self.mine.replace(**self.conflict)
        other = reporting.Snapshot.of([], {})
        report = reporting.Snapshot.of([device(2, USB)], {}).report_since(
            other, 1, **snapshots.HEADER
        )
        self.assertIsNone(self.only(mine, report))

    def test_held_device_does_not_lose_its_identity(self) -> None:
        mine = self.mine.replace(serial_number='S1', subsystem_id='0001')
        self.assertIsNone(self.only(mine, full(device(1, GPU))))
        bound = device(1, GPU, driver='nvidia')
        self.assertEqual(
            ('change', {'driver': 'nvidia'}), self.only(mine, full(bound))
        )


class ReplacedTest(testtools.TestCase):
    def test_free_device(self) -> None:
        old = known(device(1, GPU, serial_number='S1'))
        new = device(1, GPU, serial_number='S2')
        [change] = reporting.changes([old], full(new))
        self.assertEqual(
            ('replaced', {'serial_number': 'S2'}),
            (change.action, change.values),
        )
        new.confirm_new = True
        [change] = reporting.changes([old], full(new))
        self.assertEqual(
            {
                'serial_number': 'S2',
                'disabled_reason': 'new hardware, to be confirmed',
            },
            change.values,
        )
        [change] = reporting.changes([], full(new))
        self.assertEqual('appear', change.action)
        self.assertEqual(
            'new hardware, to be confirmed', change.values['disabled_reason']
        )
        [change] = reporting.changes(
            [old.replace(disabled_reason='broken')], full(new)
        )
        self.assertEqual({'serial_number': 'S2'}, change.values)

    def test_confirmed_hardware_stays_confirmed(self) -> None:
        old = known(device(1, GPU, serial_number='S1'))
        same = device(1, GPU, serial_number='S1', confirm_new=True)
        self.assertEqual([], reporting.changes([old], full(same)))

    def test_unconfirmed_hardware_that_leaves(self) -> None:
        old = known(device(1, GPU), disabled_reason=withholding.UNCONFIRMED)
        [change] = reporting.changes([old], full())
        self.assertEqual('remove', change.action)


class MoveTest(testtools.TestCase):
    """A serial number tells where the hardware of a held device is."""

    def moves(
        self, devices: list[objects.PciDevice], report: objects.HostReport
    ) -> dict[str, str]:
        return {
            c.before.address: c.address
            for c in reporting.changes(devices, report)
            if c.action == 'move' and c.before
        }

    def held(self, slot: int, serial: str, **facts: Any) -> objects.PciDevice:
        return known(
            device(slot, NVME, serial_number=serial, **facts),
            status='allocated',
            request_id=f'r{slot}',
        )

    def test_to_a_new_address(self) -> None:
        a = self.held(1, 'A')
        there = device(2, NVME, serial_number='A', numa_node=1, driver='nvme')
        moved = reporting.changes([a], full(device(1, USB), there))
        self.assertEqual(
            [('move', SLOTS[2]), ('appear', SLOTS[1])],
            [(c.action, c.address) for c in moved],
        )
        self.assertEqual(
            {
                'address': SLOTS[2],
                'conflict': None,
                'numa_node': 1,
                'driver': 'nvme',
            },
            moved[0].values,
        )

    def test_to_the_address_of_a_free_device(self) -> None:
        a, free = self.held(1, 'A'), known(device(2, USB))
        changes = reporting.changes(
            [a, free], full(device(2, NVME, serial_number='A'))
        )
        self.assertEqual(
            [('remove', free), ('move', a)],
            [(c.action, c.before) for c in changes],
        )

    def test_to_an_address_that_is_not_offered(self) -> None:
        a = self.held(1, 'A')
        [change] = reporting.changes([a], full(withdrawn={SLOTS[2]: text(a)}))
        self.assertEqual(('move', SLOTS[2]), (change.action, change.address))
        self.assertEqual('withdrawn', change.values['presence'])

    def test_swap_and_shift(self) -> None:
        a, b = self.held(1, 'A'), self.held(2, 'B')
        for at_a, at_b in ((2, 1), (2, 3), (3, 4)):
            report = full(
                device(at_a, NVME, serial_number='A'),
                device(at_b, NVME, serial_number='B'),
            )
            self.assertEqual(
                {SLOTS[1]: SLOTS[at_a], SLOTS[2]: SLOTS[at_b]},
                self.moves([a, b], report),
            )

    def test_what_proves_nothing(self) -> None:
        a = self.held(1, 'A')
        unnumbered = a.replace(serial_number=None)
        twin = device(3, NVME, serial_number='A')
        there = device(2, NVME, serial_number='A')
        usb = device(1, USB)
        # Two devices have the serial number; one of them is known already.
        self.assertEqual({}, self.moves([a], full(usb, there, twin)))
        partial = reporting.Snapshot.of([there], {}).report_since(
            reporting.Snapshot.of([], {}), 1, **snapshots.HEADER
        )
        missing = a.replace(presence='missing')
        self.assertEqual({SLOTS[1]: SLOTS[2]}, self.moves([missing], partial))
        self.assertEqual({}, self.moves([missing, known(twin)], partial))
        # Two held devices have it.
        self.assertEqual(
            {}, self.moves([a, a.replace(address=SLOTS[4])], full(usb, there))
        )
        # Nobody has a serial number.
        self.assertEqual(
            {}, self.moves([unnumbered], full(usb, device(2, NVME)))
        )
        # The other port of the same card has the same number.
        port = there.replace(address=SLOTS[2][:-1] + '1')
        self.assertEqual({}, self.moves([a], full(usb, port)))

    def test_blocked_by_a_device_that_stays(self) -> None:
        a, c = self.held(1, 'A'), known(device(2, GPU), status='allocated')
        report = full(device(1, USB), device(2, NVME, serial_number='A'))
        self.assertEqual({}, self.moves([a, c], report))
        changes = reporting.changes([a, c], report)
        self.assertEqual(
            ['conflict', 'conflict'], [change.action for change in changes]
        )

    def test_nobody_holds_it_any_more(self) -> None:
        a = self.held(1, 'A').replace(
            status='available', presence='missing', conflict='other'
        )
        there = device(2, NVME, serial_number='A')
        [change, _] = reporting.changes([a], full(device(1, USB), there))
        self.assertEqual(
            ('move', None), (change.action, change.values['conflict'])
        )
        [change] = reporting.changes([a], full(withdrawn={SLOTS[2]: text(a)}))
        self.assertEqual(('remove', a), (change.action, change.before))


class BackTest(testtools.TestCase):
    def test_withdrawn_and_free(self) -> None:
        """The hardware of a conflict is back, and nobody holds it."""
        mine = known(device(1, GPU), presence='missing', conflict='a USB')
        report = full(withdrawn={SLOTS[1]: text(mine)})
        [change] = reporting.changes([mine], report)
        self.assertEqual(('remove', mine), (change.action, change.before))


class WithholdingTest(testtools.TestCase):
    def reasons(
        self, *devices: objects.PciDevice, appeared: tuple[str, ...] = ()
    ) -> dict[str, str | None]:
        return withholding.reasons(devices, appeared)

    def test_free_devices_of_the_kind(self) -> None:
        lost = known(
            device(0, GPU),
            status='allocated',
            conflict='a USB controller',
            presence='missing',
        )
        free = known(device(1, GPU))
        held = known(device(2, GPU), status='allocated')
        broken = known(device(3, GPU), disabled_reason='broken')
        other = known(device(4, NVME))
        reasons = self.reasons(lost, free, held, broken, other)
        self.assertEqual([SLOTS[1]], list(reasons))
        withheld = free.replace(disabled_reason=reasons[SLOTS[1]])
        self.assertTrue(withholding.is_withheld(withheld.disabled_reason))
        self.assertLessEqual(len(str(withheld.disabled_reason)), 255)
        self.assertEqual({}, self.reasons(lost, withheld, held, broken, other))
        self.assertEqual(
            {SLOTS[1]: None}, self.reasons(withheld, held, broken, other)
        )

    def test_new_device_while_one_is_missing(self) -> None:
        lost = known(device(0, GPU), status='allocated', presence='missing')
        old, new = known(device(1, GPU)), known(device(2, GPU))
        self.assertEqual({}, self.reasons(lost, old, new))
        reasons = self.reasons(lost, old, new, appeared=(SLOTS[2],))
        self.assertEqual([SLOTS[2]], list(reasons))
        withheld = new.replace(disabled_reason=reasons[SLOTS[2]])
        self.assertEqual({}, self.reasons(lost, old, withheld))
        back = lost.replace(presence='offered')
        self.assertEqual({SLOTS[2]: None}, self.reasons(back, old, withheld))

    def test_hardware_of_a_held_device_elsewhere(self) -> None:
        held = known(device(0, NVME, serial_number='N1'), status='allocated')
        free = known(device(1, NVME, serial_number='N1'))
        # Two that always had one serial number are two.
        self.assertEqual({}, self.reasons(held, free))
        reasons = withholding.reasons([held, free], (), {SLOTS[1]})
        self.assertEqual([SLOTS[1]], list(reasons))
        self.assertIn(f'{SLOTS[0]}: that device is held', str(reasons))
        withheld = free.replace(disabled_reason=reasons[SLOTS[1]])
        self.assertEqual({}, self.reasons(held, withheld))
        self.assertEqual(
            {SLOTS[1]: None},
            self.reasons(held.replace(status='available'), withheld),
        )

    def test_virtual_functions_come_and_go(self) -> None:
        lost = known(
            device(0, GPU, parent_addr=UNKNOWN),
            status='allocated',
            presence='missing',
        )
        new = known(device(1, GPU, parent_addr=UNKNOWN))
        self.assertEqual({}, self.reasons(lost, new, appeared=(SLOTS[1],)))

    def test_reasons_of_operators(self) -> None:
        for reason, is_operators in (
            (None, False),
            ('broken', True),
            ('conflict of interest', True),
            ('conflict of 0000:41:00.0: …', False),
            (withholding.UNCONFIRMED, False),
        ):
            self.assertEqual(is_operators, withholding.is_operators(reason))


#: Pieces of hardware: kind and serial number. Two are alike.
HARDWARE = (
    (GPU, 'G1'),
    (GPU, 'G2'),
    (GPU, None),
    (NVME, 'N1'),
    (NVME, None),
    (USB, None),
)

#: The piece in each slot, None for an empty slot. No piece is in two slots.
LAYOUTS = strategies.permutations([*range(len(HARDWARE)), None, None]).map(
    lambda pieces: dict(zip(SLOTS, pieces, strict=False))
)
STEPS = strategies.lists(
    strategies.tuples(
        LAYOUTS,
        # Slots whose devices no entry matches.
        strategies.sets(strategies.sampled_from(SLOTS), max_size=2),
        strategies.lists(
            strategies.tuples(
                strategies.sampled_from(SLOTS),
                strategies.sampled_from(['claim', 'free']),
            ),
            max_size=4,
        ),
        strategies.booleans(),
    ),
    min_size=1,
    max_size=6,
)


class ShiftingBusesTest(testtools.TestCase):
    """Hardware changes places under claims that come and go."""

    def snapshot(
        self, layout: dict[str, int | None], excluded: set[str]
    ) -> reporting.Snapshot:
        offered, withdrawn = [], {}
        for slot, piece in layout.items():
            if piece is None:
                continue
            kind, serial = HARDWARE[piece]
            found = snapshots.device(slot, **kind, serial_number=serial)
            if slot in excluded:
                withdrawn[slot] = text(found)
            else:
                offered.append(found)
        return reporting.Snapshot.of(offered, withdrawn)

    @hypothesis.given(STEPS)
    def test_any_sequence(
        self,
        steps: list[
            tuple[dict[str, int | None], set[str], list[tuple[str, str]], bool]
        ],
    ) -> None:
        conductor = test_changes.Conductor()
        before = reporting.Snapshot.of([], {})
        for layout, excluded, events, is_full in steps:
            snapshot = self.snapshot(layout, excluded)
            was = list(conductor.known.values())
            partial = snapshot.report_since(before, 1, **snapshots.HEADER)
            report = snapshot.full_report(**snapshots.HEADER)
            # After a move, the conductor asks for a full report.
            for sent in (report,) if is_full else (partial, report):
                self.apply(conductor, sent)
            self.check(was, conductor.known, layout)
            self.assertEqual([], conductor.apply(report))
            for slot, event in events:
                self.happen(conductor, slot, event)
            before = snapshot

    def apply(
        self, conductor: test_changes.Conductor, report: objects.HostReport
    ) -> None:
        changes = conductor.apply(report)
        for address, device in conductor.known.items():
            self.assertEqual(address, device.address)
        self.withhold(
            conductor,
            {c.address for c in changes if c.action == 'appear'},
            {c.address for c in changes if 'serial_number' in c.values},
        )

    def withhold(
        self, conductor: test_changes.Conductor, *addresses: set[str]
    ) -> None:
        reasons = withholding.reasons(conductor.known.values(), *addresses)
        for address, reason in reasons.items():
            conductor.known[address].disabled_reason = reason

    def happen(
        self, conductor: test_changes.Conductor, slot: str, event: str
    ) -> None:
        device = conductor.known.get(slot)
        if device is None:
            return
        if event == 'claim' and is_claimable(device):
            device.status, device.request_id = 'claimed', 'r'
        if event == 'free' and device.status == 'claimed':
            device.status, device.request_id = 'available', None
            if device.presence != 'offered' and not reporting.must_be_kept(
                device
            ):
                del conductor.known[slot]
            self.withhold(conductor)

    def check(
        self,
        was: list[objects.PciDevice],
        known: dict[str, objects.PciDevice],
        layout: dict[str, int | None],
    ) -> None:
        def identities(devices: Any) -> list[str]:
            return sorted(text(d) for d in devices if d.status == 'claimed')

        # No report ends or begins a holding, or changes what is held.
        self.assertEqual(identities(was), identities(known.values()))
        in_conflict = {
            objects.Identity.of(device).kind
            for device in known.values()
            if device.conflict is not None
        }
        for slot, device in known.items():
            mine = objects.Identity.of(device)
            piece = layout[slot]
            there = None
            if piece is not None:
                kind, serial = HARDWARE[piece]
                there = objects.Identity.of(
                    snapshots.device(slot, **kind, serial_number=serial)
                )
            if device.presence == 'offered':
                assert there is not None
                self.assertFalse(mine.contradicts(there))
            if device.status == 'claimed' and there is not None:
                self.assertEqual(
                    mine.contradicts(there), device.conflict is not None
                )
            if is_claimable(device):
                self.assertNotIn(mine.kind, in_conflict)
            if mine.serial_number and mine not in (there, None):
                self.check_blocked(device, known, layout)

    def check_blocked(
        self,
        device: objects.PciDevice,
        known: dict[str, objects.PciDevice],
        layout: dict[str, int | None],
    ) -> None:
        """Check that nobody gets the hardware of a device that is away."""
        for slot, piece in layout.items():
            if piece and HARDWARE[piece][1] == device.serial_number:
                occupant = known.get(slot)
                self.assertFalse(occupant and is_claimable(occupant))


def is_claimable(device: objects.PciDevice) -> bool:
    return (
        device.status == 'available'
        and device.presence == 'offered'
        and device.disabled_reason is None
    )
