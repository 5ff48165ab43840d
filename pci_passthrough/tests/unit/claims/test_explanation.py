# SPDX-License-Identifier: Apache-2.0
"""What hosts answer, put together."""

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
        found = claims.HostAnswer.serving(
            'h', want('gpu', 2, [1]), host.supply
        )
        self.assertEqual(claims.HostAnswer('h', None, 2, 3), found)
        self.assertTrue(found.serves)

    def test_refuses(self) -> None:
        host = made_up.Host().add(1, 1)
        for count, states, condition, left, text in (
            (2, {'free': 1}, 'too_few', 1, '1 free gpu0, 2 needed'),
            (2, {}, 'no_match', 0, 'no device matches gpu0'),
        ):
            found = answer(host, count, states)
            self.assertEqual(
                (False, condition, count, left, text, (_MISS,)),
                (
                    found.serves,
                    found.condition,
                    found.needed,
                    found.left,
                    found.text,
                    found.near_misses,
                ),
            )

    def test_absent(self) -> None:
        found = claims.HostAnswer.absent(
            'h', want('gpu', 2, [1]), 'tracker_down'
        )
        self.assertEqual(
            ('tracker_down', 2, 0, ()),
            (found.condition, found.needed, found.left, found.near_misses),
        )
        self.assertIn('nova-compute', found.text)


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
