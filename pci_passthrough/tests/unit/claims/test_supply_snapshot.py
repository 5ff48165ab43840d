# SPDX-License-Identifier: Apache-2.0
"""SupplySnapshot: its decisions, and that RPC loses nothing of it."""

from collections.abc import Mapping
import dataclasses
import json
from unittest import mock

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.claims import decision
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import test_brute_force

_DEMANDS = (made_up.want('a', 2, [1], [2]), made_up.want('b', 1, [3, 4]))


def snapshot_of(
    hosts: Mapping[str, made_up.Host],
    *demands: claims.Demand,
    absent: Mapping[str, str] | None = None,
) -> claims.SupplySnapshot:
    """Return the snapshot of some hosts, whose devices may have failed."""
    proven = {
        name: claims.proven_supply_of(host.devices)
        for name, host in hosts.items()
    }
    keys = {i: k for host in hosts.values() for i, k in host.keys.items()}
    return claims.SupplySnapshot(
        demands or _DEMANDS,
        keys,
        {name: host.supply for name, host in hosts.items()},
        absent or {},
        {name: supply for name, supply in proven.items() if supply},
    )


def failing(host: made_up.Host, *failed_starts: int) -> made_up.Host:
    """Let the first devices of a host have failed starts."""
    for index, count in enumerate(failed_starts):
        host.devices[index] = dataclasses.replace(
            host.devices[index], failed_starts=count
        )
    return host


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
        'failing': failing(made_up.Host().add(1, 2).add(2, 2).add(3), 1),
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
        self.assertEqual(5, len(snapshot_of(_hosts()).to_wire().supplies))

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
                expected = claims.decide_among(
                    host.devices, _DEMANDS, host.keys.__getitem__, numa
                )
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
                    'its nova-compute has not registered lately, or never',
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


class ConsumeTest(testtools.TestCase):
    """What remains of a host after each of several equal instances."""

    @hypothesis.given(
        strategies.data(), test_brute_force.hosts(families=False)
    )
    def test_as_claims(
        self, data: strategies.DataObject, host: made_up.Host
    ) -> None:
        failed = strategies.integers(0, 1)
        failing(host, *(data.draw(failed) for _ in host.devices))
        demands = data.draw(test_brute_force.demand_lists(sorted(host.keys)))
        get_key = host.keys.__getitem__
        snapshot = snapshot_of({'h': host}, *demands)
        free = list(host.devices)
        while True:
            decided = snapshot.decide('h')
            claimed = claims.decide_among(free, demands, get_key)
            self.assertEqual(claimed is None, decided is None)
            if claimed is None or decided is None:
                break
            loss = claims.Loss.of(decided, get_key, snapshot.proven.get('h'))
            chosen = claims.choose(free, claimed, {})
            taken = [d for devices in chosen.values() for d in devices]
            self.assertEqual(
                any(device.failed_starts for device in taken),
                loss.failed > 0,
            )
            free = [device for device in free if device not in taken]
            snapshot = snapshot.consume('h', decided)

    @hypothesis.given(strategies.data(), test_brute_force.hosts())
    def test_families(
        self, data: strategies.DataObject, host: made_up.Host
    ) -> None:
        """Nothing that was taken remains, in either supply."""
        failed = strategies.integers(0, 1)
        failing(host, *(data.draw(failed) for _ in host.devices))
        demands = data.draw(test_brute_force.demand_lists(sorted(host.keys)))
        snapshot = snapshot_of({'h': host}, *demands)
        decided = snapshot.decide('h')
        hypothesis.assume(decided is not None)
        assert decided is not None
        left = snapshot.consume('h', decided)
        for pick in decided.picks:
            for key_id, count in pick.pools.items():
                before = snapshot.supplies['h'].total({key_id})
                self.assertLessEqual(
                    left.supplies['h'].total({key_id}), before - count
                )
