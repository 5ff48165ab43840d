# SPDX-License-Identifier: Apache-2.0
"""The counts of a conductor, alone and with other processes."""

import multiprocessing
from multiprocessing import synchronize
import os
import signal

import prometheus_client
from prometheus_client import parser
from prometheus_client import registry
import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.services import metrics
from pci_passthrough.services import metrics_memory

_FORK = multiprocessing.get_context('fork')


def _reason(condition: str) -> objects.RefusalReason:
    return objects.RefusalReason(
        host='compute-1',
        request_id='r',
        pci_flavor='big GPU',
        condition=condition,
        needed=2,
        left=1,
        detail='',
    )


class _Conductor:
    """Answers a claim with what it is given."""

    def __init__(self, observations: metrics.Observations) -> None:
        self.observations = observations

    @metrics.observed_claim
    def claim(
        self, answer: objects.ClaimResult | Exception
    ) -> objects.ClaimResult:
        if isinstance(answer, Exception):
            raise answer
        return answer


class ObservationsTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.observations = metrics.Observations()

    def samples(self, name: str) -> dict[str, float]:
        """Return the samples of a name that are not 0, by their label."""
        answers = registry.CollectorRegistry()
        answers.register(self.observations)
        text = prometheus_client.generate_latest(answers).decode()
        return {
            ' '.join(sample.labels.values()): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f'pci_passthrough_{name}' and sample.value
        }

    def test_outcomes_of_claims(self) -> None:
        conductor = _Conductor(self.observations)
        claimed = objects.ClaimResult(devices=[], refusal=None, reasons=[])
        reasons = [_reason(c) for c in ('numa', 'numa', 'all_held')]
        refused = claimed.replace(refusal='no', reasons=reasons)
        for answer in (claimed, claimed, refused):
            self.assertIs(answer, conductor.claim(answer))
        for error in (
            exception.ClaimContended('others'),
            exception.HostNotFound('compute-2'),
            ZeroDivisionError(),
        ):
            self.assertRaises(type(error), conductor.claim, error)
        self.assertEqual(
            {'claimed': 2, 'refused': 1, 'contended': 1, 'failed': 2},
            self.samples('claim_duration_seconds_count'),
        )
        self.assertEqual(
            {'numa': 1, 'all_held': 1}, self.samples('claim_refusals_total')
        )

    def test_latency(self) -> None:
        for seconds in (0.005, 0.3, 0.4, 999):
            self.observations.claim('claimed', seconds)
        buckets = self.samples('claim_duration_seconds_bucket')
        self.assertEqual(
            {'0.005': 1, '0.25': 1, '0.5': 3, '15.0': 3, '+Inf': 4},
            {
                bound: buckets[f'{bound} claimed']
                for bound in ('0.005', '0.25', '0.5', '15.0', '+Inf')
            },
        )
        total = self.samples('claim_duration_seconds_sum')
        self.assertAlmostEqual(999.705, total['claimed'])

    def test_unknown_conditions_are_counted(self) -> None:
        self.observations.claim('refused', 0.1, ['of_another_release'])
        self.assertEqual({'other': 1}, self.samples('claim_refusals_total'))

    def test_reports(self) -> None:
        report = objects.HostReport(is_full=False)
        wanted = objects.report.Wanted
        for answer in (wanted.NOTHING, wanted.FULL_REPORT):
            ack = objects.ReportAck(generation=1, sequence=1, wanted=answer)
            self.observations.report(report, ack)
        self.assertEqual({'changes': 1}, self.samples('reports_applied_total'))

    def refuse(self, *conditions: str) -> None:
        """Note a refusal with texts that are of no importance."""
        self.observations.scheduling_refusal(
            objects.SchedulingRefusal(
                reasons=[['no free gpu', 1, ['a']] for _ in conditions],
                conditions=list(conditions),
            )
        )

    def test_refusals_of_the_scheduler(self) -> None:
        self.refuse('numa', 'numa', 'other')
        self.refuse('numa', 'too_few', 'of_another_release')
        self.assertEqual(
            {'numa': 2, 'too_few': 1, 'other': 2},
            self.samples('scheduling_refusals_total'),
        )

    def test_refusal_by_a_scheduler_of_an_earlier_release(self) -> None:
        reasons = [['no free gpu', 1, ['a']], ['no free nic', 1, ['b']]]
        self.observations.scheduling_refusal(
            objects.SchedulingRefusal(reasons=reasons)
        )
        self.assertEqual(
            {'other': 1}, self.samples('scheduling_refusals_total')
        )


class SharedNumbersTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.numbers = metrics_memory.SharedNumbers(3, 4)

    def _add(self, times: int, victim: bool = False) -> None:
        for _ in range(times):
            self.numbers.add({0: 1, 2: 0.5})
        if victim:
            os.kill(os.getpid(), signal.SIGKILL)

    def _add_and_wait(self, together: synchronize.Barrier) -> None:
        self._add(1)
        together.wait(60)
        together.wait(60)

    def run_in(self, processes: int, times: int, victim: bool = False) -> None:
        """Add in some processes at a time, to their end."""
        running = [
            _FORK.Process(target=self._add, args=(times, victim))
            for _ in range(processes)
        ]
        for process in running:
            process.start()
        for process in running:
            process.join()

    def test_processes_lose_nothing(self) -> None:
        self._add(10)
        self.run_in(3, 2000)
        self.assertEqual([6010, 0, 3005], self.numbers.totals())

    def test_what_the_dead_have_counted_stays(self) -> None:
        for _ in range(10):
            self.run_in(1, 7, victim=True)
        self.assertEqual([70, 0, 35], self.numbers.totals())

    def test_too_many_processes_count_all_the_same(self) -> None:
        numbers = self.numbers = metrics_memory.SharedNumbers(3, 1)
        self._add(1)
        self.run_in(1, 1)
        self.assertEqual([2, 0, 1], numbers.totals())

    def test_a_row_that_gets_free_is_taken(self) -> None:
        self.numbers = metrics_memory.SharedNumbers(3, 2)
        together = _FORK.Barrier(3)
        others = [
            _FORK.Process(target=self._add_and_wait, args=(together,))
            for _ in range(2)
        ]
        for other in others:
            other.start()
        together.wait(60)
        self._add(1)
        # It is in another's row.
        self.assertEqual((0, 0), self.numbers._owner)
        together.wait(60)
        for other in others:
            other.join()
        self._add(1)
        self.assertEqual((os.getpid(), 0), self.numbers._owner)
        self.assertEqual([4, 0, 2], self.numbers.totals())
