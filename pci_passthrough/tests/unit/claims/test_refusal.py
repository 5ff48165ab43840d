# SPDX-License-Identifier: Apache-2.0
"""Tests of the reasons why a host cannot serve."""

import itertools

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import test_brute_force as trials
from pci_passthrough.tests.unit.claims import want


def explain(
    host: made_up.Host,
    *demands: claims.Demand,
    numa: objects.NumaAffinity | None = None,
    held: dict[int, int] | None = None,
) -> list[objects.RefusalReason]:
    """Explain a refusal; ``held`` are devices beside the free ones."""
    states: dict[int, dict[str, int]] = {}
    for device in host.devices:
        counts = states.setdefault(device.key_id, {'free': 0})
        counts['free'] += 1
    for key_id, count in (held or {}).items():
        states.setdefault(key_id, {})['allocated'] = count
    return claims.explain(
        'h1',
        demands,
        host.supply,
        [claims.PoolTotal(k, counts) for k, counts in states.items()],
        host.keys.__getitem__,
        numa,
    )


class ExplainTest(testtools.TestCase):
    def conditions(
        self, reasons: list[objects.RefusalReason]
    ) -> list[tuple[str, str, int, int]]:
        return [(r.pci_flavor, r.condition, r.needed, r.left) for r in reasons]

    def test_conditions(self) -> None:
        host = made_up.Host().add(1, 3, numa=0).add(2, 2, numa=1)
        host.add(3).devices.pop()
        for key_ids, policy, held, expected in (
            ([9], 'legacy', {}, ('a0', 'no_match', 4, 0)),
            ([3], 'legacy', {3: 5}, ('a0', 'all_held', 4, 0)),
            ([1], 'legacy', {1: 5}, ('a0', 'too_few', 4, 3)),
            ([1, 2], 'required', {}, ('a0', 'numa', 4, 3)),
        ):
            reasons = explain(
                host,
                want('a', 4, key_ids, policy=policy),
                numa=made_up.near(0),
                held=held,
            )
            self.assertEqual([expected], self.conditions(reasons))

    def test_detail(self) -> None:
        host = made_up.Host().add(2, 1, numa=None).family(1, {3: 1})
        (reason,) = explain(host, want('a', 3, [1, 2]), held={2: 7, 9: 1})
        self.assertEqual('h1', reason.host)
        self.assertEqual('a', reason.request_id)
        self.assertEqual(
            '8086:0001 type-PF NUMA 0: 1 free; '
            '8086:0002 type-PCI NUMA -: 7 allocated, 1 free',
            reason.detail,
        )

    def test_family_counts_once(self) -> None:
        host = made_up.Host().family(1, {2: 4})
        reasons = explain(host, want('a', 5, [1, 2]))
        self.assertEqual([('a0', 'too_few', 5, 4)], self.conditions(reasons))

    def test_each_alternative(self) -> None:
        host = made_up.Host().add(1, 2)
        reasons = explain(host, want('a', 3, [1], [2]), want('b', 1, [1]))
        self.assertEqual(
            [('a0', 'too_few', 3, 2), ('a1', 'no_match', 3, 0)],
            self.conditions(reasons),
        )

    def test_shared(self) -> None:
        host = made_up.Host().add(1, 3).add(2, 5)
        reasons = explain(
            host, want('a', 2, [1]), want('b', 5, [2]), want('c', 2, [1], [3])
        )
        self.assertEqual(
            [
                ('a0', 'shared', 2, 3),
                ('c0', 'shared', 2, 3),
                ('c1', 'no_match', 2, 0),
            ],
            self.conditions(reasons),
        )

    @hypothesis.given(strategies.data(), trials.hosts(), trials.AFFINITIES)
    def test_every_refusal_has_true_reasons(
        self,
        data: strategies.DataObject,
        host: made_up.Host,
        numa: objects.NumaAffinity | None,
    ) -> None:
        demands = data.draw(trials.demand_lists(list(host.keys)))
        hypothesis.assume(host.decide(*demands, numa=numa) is None)
        reasons = explain(host, *demands, numa=numa)
        self.assertNotEqual([], reasons)
        by_name = {a.name: (d, a) for d in demands for a in d.alternatives}
        for reason in reasons:
            demand, alternative = by_name[reason.pci_flavor]
            self.assertEqual(demand.count, reason.needed)
            self.check(host, alternative, reason, numa)

    def check(
        self,
        host: made_up.Host,
        alternative: claims.Alternative,
        reason: objects.RefusalReason,
        numa: objects.NumaAffinity | None,
    ) -> None:
        is_numa = reason.condition in ('numa', 'shared')
        expected = most(host, alternative, numa if is_numa else None)
        self.assertEqual(expected, reason.left)
        self.assertEqual(
            reason.condition == 'shared', reason.left >= reason.needed
        )


def most(
    host: made_up.Host,
    alternative: claims.Alternative,
    numa: objects.NumaAffinity | None,
) -> int:
    """Count what a request could get by an alternative, by trying."""
    fitting = [
        device
        for device in host.devices
        if trials.penalty_of(host, device, alternative, numa) is not None
    ]
    for count in range(len(fitting), 0, -1):
        for taken in itertools.combinations(fitting, count):
            if not any(
                trials.excludes(one, other)
                for one, other in itertools.combinations(taken, 2)
            ):
                return count
    return 0


class SummarizeTest(testtools.TestCase):
    def summary(self, *reasons: tuple[str, str, int, int]) -> str:
        return claims.summarize(
            objects.RefusalReason(
                host=host,
                request_id='a',
                pci_flavor='bigGPU',
                condition=condition,
                needed=needed,
                left=left,
                detail='',
            )
            for host, condition, needed, left in reasons
        )

    def test_phrases(self) -> None:
        phrases = {
            'no_match': 'no device matches bigGPU',
            'all_held': 'no free bigGPU',
            'too_few': '1 free bigGPU, 2 needed',
            'numa': '1 bigGPU near the instance (NUMA), 2 needed',
            'shared': 'bigGPU is needed for other requests of the instance',
            'host_down': 'has not reported for too long',
            'none_free': 'no free bigGPU',
            'host_unknown': 'has never reported: no pci-passthrough-agent',
            'tracker_down': 'its nova-compute has not registered lately, '
            'or never',
            'refused': 'the host refuses every bigGPU',
            'quota_exceeded': 'the limit of the project leaves 1 bigGPU, '
            '2 needed',
            'aggregate': 'outside of the host aggregates for bigGPU',
        }
        self.assertEqual(set(fields.RefusalCondition.ALL), set(phrases))
        for condition, phrase in phrases.items():
            self.assertEqual(
                f'1 host: {phrase}', self.summary(('h', condition, 2, 1))
            )

    def test_hosts_alike_are_counted(self) -> None:
        self.assertEqual(
            '2 hosts: no free bigGPU; '
            '1 host: 1 free bigGPU, 2 needed; '
            '1 host: no device matches bigGPU',
            self.summary(
                ('h3', 'no_match', 2, 0),
                ('h1', 'all_held', 2, 0),
                ('h1', 'all_held', 2, 0),
                ('h2', 'all_held', 2, 0),
                ('h4', 'too_few', 2, 1),
            ),
        )

    def test_nothing(self) -> None:
        self.assertEqual('', self.summary())


class NotesTest(testtools.TestCase):
    def test_notes(self) -> None:
        host = made_up.Host().add(1, 3)
        host.devices.clear()
        total = claims.PoolTotal(
            1,
            {'allocated': 1, 'cleaning': 1, 'quarantined': 3},
            {'cleaning': ['40 %, since noon'], 'quarantined': ['hot', 'old']},
        )
        [reason] = claims.explain(
            'h1',
            [want('a', 1, [1])],
            host.supply,
            [total],
            host.keys.__getitem__,
        )
        self.assertEqual(
            '8086:0001 type-PCI NUMA 0: 1 allocated, 1 cleaning (40 %, since '
            'noon), 3 quarantined (hot; old; \N{HORIZONTAL ELLIPSIS})',
            reason.detail,
        )
