# SPDX-License-Identifier: Apache-2.0
"""Tests of the conductor's side of a report."""

from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.tests.unit.reporting import test_snapshot as snapshots

ADDRESSES = [f'0000:0{i}:00.0' for i in range(1, 6)]
OWNERS = ('status', 'instance_uuid', 'request_id', 'pci_flavor_uuid')
VOLATILE = (
    'driver',
    'mac_address',
    'capabilities',
)

#: What an agent can find at an address: nothing, a device that is not
#: offered, or one that is, with some facts.
FINDINGS = strategies.sampled_from(['nothing', 'withdrawn']) | (
    strategies.fixed_dictionaries(
        {},
        optional={
            'driver': strategies.sampled_from(['ice', 'vfio-pci']),
            'devname': strategies.just('eth0'),
            'iommu_group': strategies.sampled_from([1, 2, None]),
            'numa_node': strategies.integers(0, 1),
            'extra_info': strategies.just({'group': 'b'}),
        },
    )
)
SCANS = strategies.fixed_dictionaries(dict.fromkeys(ADDRESSES, FINDINGS))

#: What happens to some devices between two reports, beside the agent.
EVENTS = strategies.dictionaries(
    strategies.sampled_from(ADDRESSES),
    strategies.sampled_from(
        [*objects.fields.DeviceStatus.ALL, 'disable', 'enable']
    ),
)


def snapshot_of(scan: dict[str, Any]) -> reporting.Snapshot:
    return reporting.Snapshot.of(
        [
            snapshots.device(address, **facts)
            for address, facts in scan.items()
            if isinstance(facts, dict)
        ],
        [a for a, presence in scan.items() if presence == 'withdrawn'],
    )


class Conductor:
    """A conductor that keeps the known devices in a dictionary."""

    def __init__(self) -> None:
        self.known: dict[str, objects.PciDevice] = {}

    def apply(self, report: objects.HostReport) -> list[reporting.Change]:
        changes = reporting.changes(self.known.values(), report)
        for change in changes:
            if change.before and change.action in ('move', 'remove'):
                del self.known[change.before.address]
        for change in changes:
            if change.before is None:
                self.known[change.address] = objects.PciDevice(
                    **{
                        'status': 'available',
                        'disabled_reason': None,
                        'instance_uuid': None,
                        'request_id': None,
                        'pci_flavor_uuid': None,
                        'conflict': None,
                        **change.values,
                    }
                )
            elif change.action != 'remove':
                self.known[change.address] = change.before.replace(
                    **change.values
                )
        return changes

    def happen(self, address: str, event: str) -> None:
        """Change a status as claims and operators do."""
        device = self.known.get(address)
        if device is None:
            return
        if event in ('disable', 'enable'):
            reason = 'broken' if event == 'disable' else None
            device = device.replace(disabled_reason=reason)
        else:
            owned = event in ('claimed', 'allocated')
            device = device.replace(
                status=event, request_id='r1' if owned else None
            )
        self.known[address] = device
        if device.presence != 'offered' and not kept(device):
            # As store.devices.forget_left.
            del self.known[address]


def kept(device: objects.PciDevice) -> bool:
    return device.status != 'available' or device.disabled_reason is not None


class RoundTripTest(testtools.TestCase):
    @hypothesis.given(
        strategies.lists(
            strategies.tuples(SCANS, EVENTS, strategies.booleans()),
            min_size=1,
            max_size=6,
        )
    )
    def test_any_sequence(
        self, steps: list[tuple[dict[str, Any], dict[str, str], bool]]
    ) -> None:
        conductor = Conductor()
        before = reporting.Snapshot.of([], [])
        for scan, events, is_full in steps:
            snapshot = snapshot_of(scan)
            full = snapshot.full_report(**snapshots.HEADER)
            partial = snapshot.report_since(before, 1, **snapshots.HEADER)
            was = dict(conductor.known)
            changes = conductor.apply(full if is_full else partial)
            self.check(was, changes, conductor.known, snapshot)
            # A partial report leads to what a full one leads to, but for
            # what a device that was held then kept from being noted.
            self.assertEqual(
                [],
                [
                    change
                    for change in conductor.apply(full)
                    if change.action != reporting.Action.CHANGE
                ],
            )
            self.assertEqual([], conductor.apply(full))
            for address, event in events.items():
                conductor.happen(address, event)
            before = snapshot

    def check(
        self,
        was: dict[str, objects.PciDevice],
        changes: list[reporting.Change],
        known: dict[str, objects.PciDevice],
        snapshot: reporting.Snapshot,
    ) -> None:
        addresses = [change.address for change in changes]
        self.assertEqual(len(set(addresses)), len(addresses))
        offered = {a for a, d in known.items() if d.presence == 'offered'}
        self.assertEqual(set(snapshot.offered), offered)
        for address, device in was.items():
            if kept(device):
                self.check_kept(device, known[address], snapshot)
            elif address not in snapshot.offered:
                self.assertNotIn(address, known)
        actions = {change.address: change.action for change in changes}
        for address in offered:
            self.assertEqual(
                address not in was, actions.get(address) == 'appear'
            )
            self.assertEqual(
                address in was and was[address].presence != 'offered',
                actions.get(address) == 'return',
            )

    def check_kept(
        self,
        before: objects.PciDevice,
        after: objects.PciDevice,
        snapshot: reporting.Snapshot,
    ) -> None:
        for name in (*OWNERS, 'disabled_reason'):
            self.assertEqual(getattr(before, name), getattr(after, name))
        address = before.address
        if address in snapshot.offered:
            reported = snapshot.offered[address]
            hidden = (
                before.status != 'available' and not reported.is_bound_to_host
            )
            for name in VOLATILE:
                self.assertEqual(
                    getattr(before if hidden else reported, name),
                    getattr(after, name),
                )
            group = reported.iommu_group
            if group is None and before.status != 'available':
                group = before.iommu_group
            self.assertEqual(group, after.iommu_group)
            self.assertEqual(reported.numa_node, after.numa_node)
            self.assertEqual(reported.extra_info, after.extra_info)
        elif address in snapshot.withdrawn:
            self.assertEqual('withdrawn', after.presence)
        else:
            self.assertEqual('missing', after.presence)


class ActionTest(testtools.TestCase):
    """Each action once, with what it changes."""

    def known(self, **values: Any) -> objects.PciDevice:
        device = snapshots.device(ADDRESSES[0]).replace(
            status='available', presence='offered', disabled_reason=None
        )
        return device.replace(**values)

    def test_table(self) -> None:
        held = {'status': 'allocated'}
        offer: dict[str, Any] = {}
        for known, reported, action, values in (
            ({}, offer, None, None),
            ({}, {'driver': 'ice'}, 'change', {'driver': 'ice'}),
            (held, {'driver': 'vfio-pci'}, None, None),
            (held, {'driver': 'mlx5_vfio_pci'}, None, None),
            (held, {'driver': None, 'devname': 'eth1'}, None, None),
            (
                held,
                {'driver': 'vfio-pci', 'iommu_group': 9},
                'change',
                {'iommu_group': 9},
            ),
            (
                {'iommu_group': 3},
                {'iommu_group': None},
                'change',
                {'iommu_group': None},
            ),
            (held | {'iommu_group': 3}, {'iommu_group': None}, None, None),
            (
                held,
                {'driver': 'vfio-pci', 'numa_node': 1},
                'change',
                {'numa_node': 1},
            ),
            # Back at the host before the instance has let go of it: what is
            # seen now would not be told again.
            (
                held,
                {'driver': 'ice', 'devname': 'eth1'},
                'change',
                {'driver': 'ice', 'devname': 'eth1'},
            ),
            ({}, 'nothing', 'remove', {}),
            ({}, 'withdrawn', 'remove', {}),
            (held, 'nothing', 'miss', {'presence': 'missing'}),
            (held, 'withdrawn', 'withdraw', {'presence': 'withdrawn'}),
            ({**held, 'presence': 'missing'}, 'nothing', None, None),
            (
                {**held, 'presence': 'missing'},
                'withdrawn',
                'withdraw',
                {'presence': 'withdrawn'},
            ),
            (
                {**held, 'presence': 'missing'},
                {'driver': 'vfio-pci'},
                'return',
                {'presence': 'offered'},
            ),
            (
                {'disabled_reason': 'hot', 'presence': 'withdrawn'},
                {'driver': 'ice'},
                'return',
                {'presence': 'offered', 'driver': 'ice'},
            ),
        ):
            with self.subTest(known=known, reported=reported):
                report = snapshot_of({ADDRESSES[0]: reported}).full_report(
                    **snapshots.HEADER
                )
                changes = reporting.changes([self.known(**known)], report)
                self.assertEqual(
                    [] if action is None else [(action, values)],
                    [(c.action, c.values) for c in changes],
                )

    def test_appear_has_all_facts(self) -> None:
        report = snapshot_of({ADDRESSES[0]: {}}).full_report(
            **snapshots.HEADER
        )
        (change,) = reporting.changes([], report)
        self.assertEqual('appear', change.action)
        self.assertIsNone(change.before)
        self.assertEqual(
            {*objects.device.REPORTED_FIELDS, 'presence'},
            set(change.values),
        )

    def test_refused(self) -> None:
        device = snapshots.device(ADDRESSES[0], refusal='it is mounted')
        report = reporting.Snapshot.of([], [], [device]).full_report(
            **snapshots.HEADER
        )
        (change,) = reporting.changes([], report)
        self.assertEqual('refuse', change.action)
        self.assertEqual('withdrawn', change.values['presence'])
        self.assertEqual('it is mounted', change.values['refusal'])
        for status in ('available', 'allocated'):
            known = self.known(status=status)
            (change,) = reporting.changes([known], report)
            self.assertEqual('refuse', change.action)
            refused = known.replace(**change.values)
            self.assertEqual(
                'refused' if status == 'available' else status, refused.state
            )
            self.assertEqual([], reporting.changes([refused], report))
            offered = reporting.Snapshot.of(
                [device.replace(refusal=None)], []
            ).full_report(**snapshots.HEADER)
            (change,) = reporting.changes([refused], offered)
            self.assertEqual('return', change.action)
            self.assertEqual(
                {'presence': 'offered', 'refusal': None}, change.values
            )

    def test_refused_device_that_no_entry_matches_any_more(self) -> None:
        refused = self.known(presence='withdrawn', refusal='it is mounted')
        report = snapshot_of({ADDRESSES[0]: 'withdrawn'}).full_report(
            **snapshots.HEADER
        )
        (change,) = reporting.changes([refused], report)
        self.assertEqual('remove', change.action)
        held = refused.replace(status='allocated')
        (change,) = reporting.changes([held], report)
        self.assertEqual(
            ('withdraw', {'refusal': None}), (change.action, change.values)
        )

    def test_agent_of_an_earlier_release(self) -> None:
        report = snapshot_of({ADDRESSES[0]: {}}).full_report(
            **snapshots.HEADER
        )
        [device] = report.offered
        facts = device.reported()
        del facts['offered_by']
        report.offered = [objects.PciDevice(**facts)]
        (change,) = reporting.changes([], report)
        self.assertIsNone(change.values['offered_by'])
        (change,) = reporting.changes([self.known()], report)
        self.assertEqual({'offered_by': None}, change.values)
        unknown = self.known().replace(offered_by=None)
        self.assertEqual([], reporting.changes([unknown], report))

    def test_address_in_two_lists(self) -> None:
        report = snapshot_of({ADDRESSES[0]: {'numa_node': 1}}).full_report(
            **snapshots.HEADER
        )
        report.withdrawn = [ADDRESSES[0]]
        for is_full in (True, False):
            report.is_full = is_full
            report.gone = [ADDRESSES[0]]
            (change,) = reporting.changes([self.known()], report)
            self.assertEqual('change', change.action)
