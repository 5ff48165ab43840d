# SPDX-License-Identifier: Apache-2.0
"""Refusals in the words of projects."""

from hypothesis import given
from hypothesis import strategies as st
import testtools

from pci_passthrough.claims import project_words
from pci_passthrough.claims import refusal
from pci_passthrough.objects import fields

_C = fields.RefusalCondition


def _sentence(*failed: tuple[str, str]) -> str:
    return project_words.sentence(
        refusal.FailedCondition('17 secrets of alfa', condition, pci_flavor)
        for condition, pci_flavor in failed
    )


class ReasonsTest(testtools.TestCase):
    def test_all_conditions_have_words(self) -> None:
        for condition in (*_C.ALL, _C.OTHER, _C.ELSEWHERE, 'of the future'):
            seen = project_words.condition_of(condition)
            self.assertIn(seen, project_words.TEXTS)

    def test_order(self) -> None:
        self.assertEqual(
            [_C.NO_MATCH, _C.HOST_DOWN, _C.ALL_HELD, _C.TOO_FEW],
            project_words.in_order(
                [
                    *(_C.TOO_FEW, _C.SHARED, _C.NONE_FREE, _C.NO_MATCH),
                    *(_C.TRACKER_DOWN, _C.REFUSED),
                ]
            ),
        )

    def test_nearest(self) -> None:
        for failed, expected in (
            ([], []),
            ([(_C.NUMA, 'a'), (_C.NONE_FREE, 'a')], [(_C.NUMA, 'a')]),
            (
                [(_C.REFUSED, 'b'), (_C.SHARED, 'a'), (_C.HOST_DOWN, '')],
                [(_C.ALL_HELD, 'b'), (_C.TOO_FEW, 'a')],
            ),
            (
                [(_C.TRACKER_DOWN, ''), (_C.OTHER, '')],
                [(_C.HOST_DOWN, '')],
            ),
            (
                [(_C.ELSEWHERE, ''), (_C.ALL_HELD, 'a'), (_C.HOST_DOWN, '')],
                [(_C.ALL_HELD, 'a'), (_C.ELSEWHERE, '')],
            ),
            # A scheduler of an earlier release names none.
            ([('', '')], [(_C.OTHER, '')]),
        ):
            self.assertEqual(
                expected,
                [
                    (reason.condition, reason.pci_flavor)
                    for reason in project_words.reasons(failed)
                ],
            )


class StepsTest(testtools.TestCase):
    def test_how_near_it_was(self) -> None:
        yes, no, open_ = True, False, None
        disabled = project_words.DISABLED
        for conditions, is_served, fulfilled in (
            ([], True, [yes, yes, yes, yes]),
            ([_C.NO_MATCH, _C.ALL_HELD], True, [yes, yes, yes, yes]),
            ([disabled], True, [no, open_, open_, open_]),
            ([disabled, _C.TOO_FEW], False, [no, open_, open_, open_]),
            ([], False, [yes, no, open_, open_]),
            ([_C.NO_MATCH], False, [yes, no, open_, open_]),
            ([_C.NO_MATCH, _C.HOST_DOWN], False, [yes, open_, open_, open_]),
            ([_C.HOST_UNKNOWN], False, [yes, open_, open_, open_]),
            ([_C.NO_MATCH, _C.REFUSED], False, [yes, yes, no, open_]),
            ([_C.HOST_DOWN, _C.ALL_HELD], False, [yes, yes, no, open_]),
            ([_C.SHARED, _C.ALL_HELD], False, [yes, yes, yes, no]),
        ):
            steps = project_words.steps(conditions, is_served)
            self.assertEqual(fulfilled, [step.fulfilled for step in steps])
            self.assertTrue(all(step.text for step in steps))


class SentenceTest(testtools.TestCase):
    def test_one(self) -> None:
        self.assertEqual(
            'PCI flavor t4: No device is free. '
            "See 'openstack pci flavor explain t4'.",
            _sentence((_C.NONE_FREE, 't4')),
        )

    def test_alternatives(self) -> None:
        self.assertEqual(
            'PCI flavor t4: No device is free. PCI flavor a 100: Some devices '
            'are free, but too few on any one host. '
            "See 'openstack pci flavor explain t4'.",
            _sentence((_C.NONE_FREE, 't4'), (_C.TOO_FEW, 'a 100')),
        )

    def test_no_pci_flavor(self) -> None:
        self.assertEqual(
            'Hosts that may have such devices are down.',
            _sentence((_C.HOST_UNKNOWN, '')),
        )

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((*_C.ALL, _C.OTHER, _C.ELSEWHERE)),
                st.text(max_size=255),
            ),
            min_size=1,
        )
    )
    def test_fits_and_reveals_nothing(
        self, failed: list[tuple[str, str]]
    ) -> None:
        text = _sentence(*failed)
        whole = f'No valid host was found. {text}'
        self.assertLessEqual(len(whole.encode()), 255)
        self.assertNotIn('17 secrets', text)
        self.assertTrue(text)
