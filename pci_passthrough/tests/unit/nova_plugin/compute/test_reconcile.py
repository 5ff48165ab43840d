# SPDX-License-Identifier: Apache-2.0
"""Tests of planning repairs of Nova's rows and of claims."""

from collections.abc import Sequence
import dataclasses

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import reconcile

A = '0a5e9a38-8f0f-4b6b-a7e0-2a3d4b5c6d7e'
B = '1b6f0b49-9a1a-4c7c-b8f1-3b4e5c6d7e8f'

FIRST = '0000:81:01.0'
SECOND = '0000:81:02.0'


def held(
    address: str, instance: str = A, claim: str = 'r1', status: str = 'claimed'
) -> objects.PciDevice:
    """Return a device that an instance holds."""
    return objects.PciDevice(
        address=address,
        instance_uuid=instance,
        request_id=claim,
        status=status,
    )


def row(
    address: str,
    instance: str = A,
    claim: str = 'r1',
    *,
    allocated: bool = True,
    attached: bool = True,
    in_spec: bool = False,
    rowless: bool = False,
) -> reconcile.Row:
    """Return Nova's row of a device that an instance has."""
    return reconcile.Row(
        address=address,
        instance_uuid=instance,
        claim_id=claim,
        request_id=claim,
        is_allocated=allocated,
        is_attachment=attached,
        in_device_spec=in_spec,
        is_rowless=rowless,
    )


NOTHING = reconcile.Plan({}, {}, [], [], [], [])


class DecideTest(testtools.TestCase):
    def decide(
        self,
        devices: Sequence[objects.PciDevice],
        rows: Sequence[reconcile.Row],
        offered: Sequence[str] | None = (FIRST, SECOND),
    ) -> reconcile.Plan:
        return reconcile.decide(devices, rows, offered)

    def test_agreement(self) -> None:
        allocated = held(FIRST, status='allocated')
        for devices, rows in (
            ([], []),
            ([allocated], [row(FIRST)]),
            ([held(FIRST)], [row(FIRST, allocated=False)]),
            # pci_information does not offer the held device any more.
            (
                [allocated],
                [row(FIRST), row(SECOND, attached=False, in_spec=True)],
            ),
        ):
            self.assertEqual(NOTHING, self.decide(devices, rows))
        self.assertEqual(NOTHING, self.decide([allocated], [row(FIRST)], []))

    def test_claim_without_row(self) -> None:
        plan = self.decide(
            [held(FIRST), held(SECOND, claim='r2')], [row(SECOND, claim='r2')]
        )
        self.assertEqual({A: {'r1'}}, plan.free)
        self.assertEqual({A: {'r2'}}, plan.allocate)

    def test_part_of_a_claim_without_row(self) -> None:
        plan = self.decide([held(FIRST), held(SECOND)], [row(FIRST)])
        self.assertEqual({}, plan.free)
        self.assertEqual([SECOND], [device.address for device in plan.restore])

    def test_row_that_is_not_held(self) -> None:
        plan = self.decide([], [row(FIRST)])
        self.assertEqual([row(FIRST)], plan.adopt)

    def test_row_that_is_held_by_another(self) -> None:
        plan = self.decide([held(FIRST, B)], [row(FIRST)])
        self.assertEqual({B: {'r1'}}, plan.free)
        self.assertEqual([row(FIRST)], plan.adopt)
        self.assertEqual([], plan.restore)

    def test_device_that_is_offered_now(self) -> None:
        native = row(FIRST, attached=False)
        self.assertEqual([native], self.decide([], [native]).take_over)
        self.assertEqual(NOTHING, self.decide([], [native], []))
        self.assertEqual(NOTHING, self.decide([], [native], None))
        matched = row(FIRST, attached=False, in_spec=True)
        self.assertEqual(NOTHING, self.decide([], [matched]))

    def test_device_that_was_adopted_and_not_marked(self) -> None:
        native = row(FIRST, attached=False)
        choices: list[list[str] | None] = [[FIRST], [], None]
        for offered in choices:
            plan = self.decide(
                [held(FIRST, status='allocated')], [native], offered
            )
            self.assertEqual(
                dataclasses.replace(NOTHING, take_over=[native]), plan
            )

    def test_device_that_is_native_again(self) -> None:
        matched = row(FIRST, in_spec=True)
        for devices in ([held(FIRST)], [held(FIRST, status='allocated')], []):
            plan = self.decide(devices, [matched], [SECOND])
            self.assertEqual(
                dataclasses.replace(NOTHING, hand_back=[matched]), plan
            )
            plan = self.decide(devices, [matched], None)
            self.assertEqual([], plan.hand_back)

    def test_claim_is_handed_back_as_a_whole(self) -> None:
        plan = self.decide(
            [
                held(FIRST, status='allocated'),
                held(SECOND, status='allocated'),
            ],
            [row(FIRST, in_spec=True), row(SECOND)],
            [],
        )
        self.assertEqual(NOTHING, plan)

    def test_device_that_was_handed_back_and_not_freed(self) -> None:
        native = row(FIRST, attached=False, in_spec=True)
        device = held(FIRST, status='allocated')
        self.assertEqual(
            dataclasses.replace(NOTHING, free={A: {'r1'}}),
            self.decide([device], [native], []),
        )
        # Both configurations match it: an operator has to decide.
        self.assertEqual(NOTHING, self.decide([device], [native], [FIRST]))
        self.assertEqual(NOTHING, self.decide([device], [native], None))


class EndedTest(testtools.TestCase):
    def test_instance_is_gone(self) -> None:
        rows = [row(FIRST), row(SECOND, B)]
        self.assertEqual([row(SECOND, B)], reconcile.ended(rows, {A}, {}))

    def test_request_is_gone(self) -> None:
        rows = [row(FIRST), row(SECOND, claim='r2')]
        for wanted, expected in (
            ({}, []),
            ({A: {'r1', 'r2'}}, []),
            ({A: {'r2'}}, [rows[0]]),
            ({A: set()}, rows),
        ):
            self.assertEqual(expected, reconcile.ended(rows, {A}, wanted))

    def test_inconclusive_rows(self) -> None:
        rows = [
            row(FIRST, allocated=False),
            dataclasses.replace(row(SECOND), request_id=None),
        ]
        self.assertEqual([], reconcile.ended(rows, {A}, {A: set()}))

    def test_native_rows_are_ignored(self) -> None:
        self.assertEqual(
            [], reconcile.ended([row(FIRST, attached=False)], set(), {})
        )


@dataclasses.dataclass
class Host:
    """Both views of a host, with their repair."""

    devices: dict[str, objects.PciDevice]
    rows: dict[str, reconcile.Row]
    offered: list[str]

    def plan(self) -> reconcile.Plan:
        return reconcile.decide(
            list(self.devices.values()),
            list(self.rows.values()),
            self.offered,
        )

    def repair(self) -> None:
        """Carry a plan out, as nova-compute and the conductor do."""
        plan = self.plan()
        for instance, claims in plan.free.items():
            self._free(instance, claims)
        for instance, claims in plan.allocate.items():
            for device in self.devices.values():
                if device.instance_uuid == instance:
                    if device.request_id in claims:
                        device.status = 'allocated'
        for adopted in [*plan.adopt, *plan.take_over]:
            self._adopt(adopted)
        for device in plan.restore:
            self.rows[device.address] = row(
                device.address,
                str(device.instance_uuid),
                str(device.request_id),
                allocated=device.status == 'allocated',
            )
        for native in plan.take_over:
            self.rows[native.address] = dataclasses.replace(
                native, is_attachment=True
            )
        for attached in plan.hand_back:
            self.rows[attached.address] = dataclasses.replace(
                attached, is_attachment=False
            )
            self._free(attached.instance_uuid, {attached.claim_id})

    def _free(self, instance: str, claims: set[str]) -> None:
        for address, device in list(self.devices.items()):
            if device.instance_uuid == instance:
                if device.request_id in claims:
                    del self.devices[address]

    def _adopt(self, adopted: reconcile.Row) -> None:
        holder = self.devices.get(adopted.address)
        if holder is None or holder.instance_uuid == adopted.instance_uuid:
            self.devices[adopted.address] = held(
                adopted.address,
                adopted.instance_uuid,
                adopted.claim_id,
                'allocated',
            )


_ADDRESSES = [f'0000:81:0{slot}.0' for slot in range(1, 5)]


@strategies.composite
def hosts(draw: strategies.DrawFn) -> Host:
    """Return hosts with any state that an interruption can leave."""
    devices = {}
    rows = {}
    for address in _ADDRESSES:
        owner = strategies.tuples(
            strategies.sampled_from([A, B]),
            strategies.sampled_from(['r1', 'r2']),
        )
        if draw(strategies.booleans()):
            status = draw(strategies.sampled_from(['claimed', 'allocated']))
            devices[address] = held(address, *draw(owner), status)
        if draw(strategies.booleans()):
            rows[address] = row(
                address,
                *draw(owner),
                allocated=draw(strategies.booleans()),
                attached=draw(strategies.booleans()),
                in_spec=draw(strategies.booleans()),
            )
    offered = draw(strategies.lists(strategies.sampled_from(_ADDRESSES)))
    return Host(devices, rows, offered)


class RepairTest(testtools.TestCase):
    @hypothesis.given(hosts())
    def test_ends_in_agreement(self, host: Host) -> None:
        """No instance loses a device, or gets another instance's device."""
        before = {
            address: (row.instance_uuid, row.claim_id)
            for address, row in host.rows.items()
        }
        for _ in range(4):
            host.repair()
        self.assertEqual(NOTHING, host.plan())
        for address, owner in before.items():
            now = host.rows[address]
            self.assertEqual(owner, (now.instance_uuid, now.claim_id))
        attached = {
            address: row.instance_uuid
            for address, row in host.rows.items()
            if row.is_attachment
        }
        holders = {
            address: device.instance_uuid
            for address, device in host.devices.items()
            if not self.is_matched_twice(host, address)
        }
        self.assertEqual(attached, attached | holders)
        self.assertEqual(set(), attached.keys() - host.devices.keys())

    def is_matched_twice(self, host: Host, address: str) -> bool:
        """Whether an operator must decide about a device."""
        row = host.rows.get(address)
        return (
            row is not None
            and not row.is_attachment
            and row.in_device_spec
            and address in host.offered
        )


class UntoldTest(testtools.TestCase):
    """Devices of which the conductor lacks the right project."""

    def test_untold(self) -> None:
        mine = held(FIRST, status='allocated')
        unknown, wrong, right = (
            mine.replace(project_id=project)
            for project in (None, 'other', 'mine')
        )
        known, elsewhere = {A: 'mine'}, {B: 'mine'}
        for device, rows, projects, is_untold in (
            (unknown, [row(FIRST)], known, True),
            (wrong, [row(FIRST)], known, True),
            (right, [row(FIRST)], known, False),
            # A conductor of an earlier release.
            (mine, [row(FIRST)], known, False),
            (unknown, [row(FIRST)], elsewhere, False),
            (unknown, [row(FIRST, allocated=False)], known, False),
            (unknown.replace(status='claimed'), [row(FIRST)], known, False),
            (unknown, [row(FIRST, attached=False)], known, False),
            (unknown, [row(FIRST, claim='r2')], known, False),
            (unknown, [row(SECOND)], known, False),
            (unknown, [], known, False),
        ):
            self.assertEqual(
                [device] if is_untold else [],
                reconcile.untold([device], rows, projects),
            )


class MovedTest(testtools.TestCase):
    """The conductor has the devices of a claim at other addresses."""

    def moved(
        self,
        devices: Sequence[objects.PciDevice],
        rows: Sequence[reconcile.Row],
    ) -> list[tuple[str, str]]:
        return [
            (row.address, device.address)
            for row, device in reconcile.moved(devices, rows)
        ]

    def test_moved(self) -> None:
        third = '0000:81:03.0'
        for devices, rows, moves in (
            ([held(FIRST)], [row(FIRST)], []),
            ([held(SECOND)], [row(FIRST)], [(FIRST, SECOND)]),
            ([held(SECOND)], [row(FIRST, attached=False)], []),
            ([held(SECOND, B)], [row(FIRST)], []),
            ([held(SECOND, claim='r2')], [row(FIRST)], []),
            ([], [row(FIRST)], []),
            # One of two devices has moved.
            (
                [held(FIRST), held(third)],
                [row(FIRST), row(SECOND)],
                [(SECOND, third)],
            ),
            # Two instances' devices have changed places.
            (
                [held(FIRST, B), held(SECOND, A)],
                [row(FIRST, A), row(SECOND, B)],
                [(FIRST, SECOND), (SECOND, FIRST)],
            ),
        ):
            with self.subTest(devices=devices, rows=rows):
                self.assertEqual(moves, self.moved(devices, rows))


class HasLeftTest(testtools.TestCase):
    """The instance of a row on host ``here`` is on another host."""

    def test_table(self) -> None:
        def failed(source: str, is_live: bool = False) -> reconcile.FailedMove:
            dest = 'there' if source == 'here' else 'here'
            return reconcile.FailedMove(1, source, dest, is_live)

        for at, is_broken, context, moves, expected in (
            ('there', True, None, [], True),
            # An evacuation, or a live migration that left no context.
            ('there', True, None, [failed('there')], True),
            (None, True, None, [failed('there')], True),
            ('there', True, 1, [failed('there', is_live=True)], True),
            # A resize to this host that failed at its source.
            ('there', True, 1, [failed('there')], True),
            # A resize from this host that failed at its destination.
            ('there', True, 1, [failed('here')], False),
            ('there', False, 1, [failed('here')], True),
            # A later move succeeded.
            ('there', True, 2, [failed('here')], True),
            ('here', False, None, [failed('there')], False),
        ):
            self.assertEqual(
                expected,
                reconcile.has_left('here', at, is_broken, context, moves),
                f'{at} {is_broken} {context} {moves}',
            )


class UnwantedTest(testtools.TestCase):
    """Devices without rows that their instance does not request."""

    def test_by_the_requests_of_known_instances(self) -> None:
        rows = [
            row('1-1', A, 'wanted', rowless=True),
            row('1-2', A, 'lost', rowless=True),
            row('1-3', B, 'unknown', rowless=True),
            # The absence of a row would tell.
            row(FIRST, A, 'lost'),
        ]
        self.assertEqual(
            [rows[1]], reconcile.unwanted(rows, {A: {'wanted', 'old'}})
        )
        self.assertEqual(rows[:2], reconcile.unwanted(rows, {A: ()}))
