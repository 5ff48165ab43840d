# SPDX-License-Identifier: Apache-2.0
"""HostAnswer and Explanation: the answers of hosts and their summary."""

import testtools

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import want

_FLAVOR = objects.PciFlavor(name='gpu')
_MISS = claims.NearMiss(2, '10de:2330 type-PCI NUMA 0', 'e.group', '"a"', None)


def answer(
    host: made_up.Host, count: int, states: dict[str, int]
) -> claims.HostAnswer:
    """Return the answer of a host to a request for its pool 1."""
    totals = [claims.PoolTotal(1, states)] if states else []
    return claims.HostAnswer.refusing(
        'h',
        want('gpu', count, [1]),
        host.supply,
        totals,
        host.keys.__getitem__,
        [_MISS],
    )


class HostAnswerTest(testtools.TestCase):
    def test_serves(self) -> None:
        host = made_up.Host().add(1, 3).add(2, 4)
        host_answer = claims.HostAnswer.serving(
            'h', want('gpu', 2, [1]), host.supply
        )
        self.assertEqual(claims.HostAnswer('h', None, 2, 3), host_answer)
        self.assertTrue(host_answer.serves)

    def test_refuses(self) -> None:
        host = made_up.Host().add(1, 1)
        for count, states, condition, left, text in (
            (2, {'free': 1}, 'too_few', 1, '1 free gpu0, 2 needed'),
            (2, {}, 'no_match', 0, 'no device matches gpu0'),
        ):
            host_answer = answer(host, count, states)
            self.assertEqual(
                (False, condition, count, left, text, (_MISS,)),
                (
                    host_answer.serves,
                    host_answer.condition,
                    host_answer.needed,
                    host_answer.left,
                    host_answer.text,
                    host_answer.near_misses,
                ),
            )

    def test_absent(self) -> None:
        host_answer = claims.HostAnswer.absent(
            'h', want('gpu', 2, [1]), 'tracker_down'
        )
        self.assertEqual(
            ('tracker_down', 2, 0, ()),
            (
                host_answer.condition,
                host_answer.needed,
                host_answer.left,
                host_answer.near_misses,
            ),
        )
        self.assertIn('nova-compute', host_answer.text)


class ExplanationTest(testtools.TestCase):
    def test_reasons_are_counted(self) -> None:
        explained = claims.Explanation(
            _FLAVOR,
            1,
            (
                claims.HostAnswer('a', None, 1, 4),
                claims.HostAnswer('b', 'all_held', 1, 0, text='no free gpu'),
                claims.HostAnswer('c', 'no_match', 1, 0, text='no device'),
                claims.HostAnswer('d', 'all_held', 1, 0, text='no free gpu'),
            ),
        )
        self.assertEqual(1, explained.serving)
        self.assertEqual(
            (
                claims.Reason('all_held', 'no free gpu', 2),
                claims.Reason('no_match', 'no device', 1),
            ),
            explained.reasons,
        )
        self.assertEqual(
            '2 hosts: no free gpu; 1 host: no device', explained.summary
        )

    def test_nothing_is_wrong(self) -> None:
        explained = claims.Explanation(_FLAVOR, 1, ())
        self.assertEqual(
            (0, (), ''),
            (explained.serving, explained.reasons, explained.summary),
        )
