# SPDX-License-Identifier: Apache-2.0
"""SupplySnapshot: its decisions, and that RPC loses nothing of it."""

from collections.abc import Mapping
import dataclasses
import json
from unittest import mock

import testtools

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.claims import decision
from pci_passthrough.tests.unit import claims as made_up

_DEMANDS = (made_up.want('a', 2, [1], [2]), made_up.want('b', 1, [3, 4]))


def snapshot_of(
    hosts: Mapping[str, made_up.Host],
    *demands: claims.Demand,
    absent: Mapping[str, str] | None = None,
) -> claims.SupplySnapshot:
    """Return the snapshot of some hosts."""
    keys = {i: k for host in hosts.values() for i, k in host.keys.items()}
    return claims.SupplySnapshot(
        demands or _DEMANDS,
        keys,
        {name: host.supply for name, host in hosts.items()},
        absent or {},
    )


def through_json(snapshot: claims.SupplySnapshot) -> claims.SupplySnapshot:
    """Send a snapshot as oslo.messaging does."""
    serializer = objects.PciPassthroughObjectSerializer()
    sent = json.dumps(serializer.serialize_entity({}, snapshot.to_wire()))
    return claims.SupplySnapshot.from_wire(
        serializer.deserialize_entity({}, json.loads(sent))
    )


def _hosts() -> dict[str, made_up.Host]:
    return {
        'plain': made_up.Host().add(1, 2, group='g').add(3),
        'alike': made_up.Host().add(1, 2, group='g').add(3),
        'nic': made_up.Host().add(2, 2, numa=None).family(4, {3: 2}),
        'little': made_up.Host().add(1, 1, group='g').add(3, 5),
    }


class WireTest(testtools.TestCase):
    def test_nothing_is_lost(self) -> None:
        sent = snapshot_of(_hosts(), absent={'x': 'host_down'})
        self.assertEqual(sent, through_json(sent))
        everything = claims.SupplySnapshot((), sent.keys, sent.supplies)
        self.assertEqual(everything, through_json(everything))

    def test_hosts_alike_share_a_supply(self) -> None:
        snapshot = through_json(snapshot_of(_hosts()))
        self.assertIs(snapshot.supplies['plain'], snapshot.supplies['alike'])
        self.assertEqual(3, len(snapshot_of(_hosts()).to_wire().supplies))

    def test_more_than_is_known(self) -> None:
        wire = snapshot_of(_hosts()).to_wire()
        for _, row in wire.keys:
            row['colour'] = 'red'
        self.assertEqual(
            snapshot_of(_hosts()), claims.SupplySnapshot.from_wire(wire)
        )


class DecideTest(testtools.TestCase):
    def test_as_decide(self) -> None:
        hosts = _hosts()
        snapshot = through_json(snapshot_of(hosts))
        for numa in (None, made_up.near(0), made_up.near(1)):
            for name, host in hosts.items():
                expected = host.decide(*_DEMANDS, numa=numa)
                decided = snapshot.decide(name, numa)
                self.assertEqual(expected, decided)
                self.assertEqual(
                    expected is None, snapshot.refusal(name, numa) is not None
                )

    def test_hosts_without_anything(self) -> None:
        snapshot = snapshot_of(_hosts(), absent={'gone': 'host_unknown'})
        for name, condition in (
            ('gone', 'host_unknown'),
            ('empty', 'none_free'),
        ):
            self.assertIsNone(snapshot.decide(name))
            self.assertEqual(condition, snapshot.refusal(name))
            self.assertEqual(
                [(name, condition)] * len(snapshot.reasons(name)),
                [(r.host, r.condition) for r in snapshot.reasons(name)],
            )

    def test_no_requests(self) -> None:
        snapshot = claims.SupplySnapshot((), {}, {}, {'gone': 'tracker_down'})
        self.assertIsNotNone(snapshot.decide('any'))
        self.assertIsNone(snapshot.refusal('any'))
        self.assertEqual('tracker_down', snapshot.refusal('gone'))
        self.assertEqual([], snapshot.reasons('gone'))

    def test_each_supply_is_decided_once(self) -> None:
        snapshot = through_json(snapshot_of(_hosts()))
        with mock.patch.object(
            decision, 'decide', wraps=decision.decide
        ) as decide:
            for _ in range(3):
                for name in ('plain', 'alike', 'nic'):
                    snapshot.decide(name)
                    snapshot.decide(name, made_up.near(0))
        self.assertEqual(4, decide.call_count)


class RefusedTest(testtools.TestCase):
    def test_conditions(self) -> None:
        snapshot = snapshot_of(
            {
                'few': made_up.Host().add(1, 1),
                'near': made_up.Host().add(1, 2),
            },
            made_up.want('a', 2, [1]),
        )
        numa = made_up.near(0)
        for name, condition in (
            ('few', 'too_few'),
            ('near', None),
            ('none', 'none_free'),
        ):
            self.assertEqual(condition, snapshot.refusal(name, numa))
        [few] = snapshot.reasons('few')
        self.assertEqual(
            ('few', 'a', 'a0', 'too_few', 2, 1),
            (
                few.host,
                few.request_id,
                few.pci_flavor,
                few.condition,
                few.needed,
                few.left,
            ),
        )
        self.assertEqual([], snapshot.reasons('near'))

    def test_numa(self) -> None:
        snapshot = snapshot_of(
            {'far': made_up.Host().add(1, 2, numa=1)},
            made_up.want('a', 2, [1]),
        )
        self.assertEqual('numa', snapshot.refusal('far', made_up.near(0)))
        self.assertIsNone(snapshot.refusal('far'))

    def test_shared(self) -> None:
        snapshot = snapshot_of(
            {'h': made_up.Host().add(1, 3)},
            made_up.want('a', 2, [1]),
            made_up.want('b', 2, [1]),
        )
        self.assertEqual('shared', snapshot.refusal('h'))

    def test_summed_up(self) -> None:
        snapshot = snapshot_of(
            _hosts(), absent={'x': 'host_down', 'y': 'tracker_down'}
        )
        refused = snapshot.refused(['plain', 'little', 'e1', 'e2', 'x', 'y'])
        self.assertEqual(
            {
                ('1 free a0, 2 needed', 'too_few'): ['little'],
                ('no free a0', 'none_free'): ['e1', 'e2'],
                ('no free a1', 'none_free'): ['little', 'e1', 'e2'],
                ('no free b0', 'none_free'): ['e1', 'e2'],
                ('has not reported for too long', 'host_down'): ['x'],
                (
                    'its nova-compute has not registered for too long',
                    'tracker_down',
                ): ['y'],
            },
            {(f.text, f.condition): hosts for f, hosts in refused.items()},
        )
        self.assertEqual(
            claims.summarize(
                reason
                for name in ('little', 'e1', 'e2', 'x', 'y')
                for reason in snapshot.reasons(name)
            ),
            claims.summarize_hosts(refused),
        )

    def test_name_that_reads_like_another_condition(self) -> None:
        [alternative] = made_up.want('a', 2, [1]).alternatives
        names = ('no free lunch', '1 free seat, 2 needed')
        demands = [
            claims.Demand(
                name, 2, (dataclasses.replace(alternative, name=name),)
            )
            for name in names
        ]
        few = made_up.Host().add(1, 1)
        for demand in demands:
            refused = snapshot_of({'few': few}, demand).refused(['few'])
            self.assertEqual(['too_few'], [f.condition for f in refused])
            refused = snapshot_of({}, demand).refused(['none'])
            self.assertEqual(['none_free'], [f.condition for f in refused])
