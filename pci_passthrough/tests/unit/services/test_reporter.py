# SPDX-License-Identifier: Apache-2.0
"""Reporter: the reports it sends, and its reactions to the answers."""

from collections.abc import Iterable

import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.objects import report as report_obj
from pci_passthrough.services import reporter

_WANTED = report_obj.Wanted


def device(address: str, driver: str = 'ice') -> objects.PciDevice:
    values = dict.fromkeys(objects.device.REPORTED_FIELDS)
    values |= {
        'resource_type': 'pci',
        'address': address,
        'dev_type': 'type-PCI',
        'vendor_id': '8086',
        'product_id': '1592',
        'pci_class': '020000',
        'driver': driver,
        'capabilities': [],
        'handlers': [],
        'extra_info': {'group': '10g'},
    }
    return objects.PciDevice(**values)


def snapshot(
    offered: Iterable[str], withdrawn: Iterable[str] = ()
) -> reporting.Snapshot:
    return reporting.Snapshot.of(map(device, offered), withdrawn)


class Conductor:
    """Answers as the store does, and can lose answers and memory."""

    def __init__(self) -> None:
        self.generation = 0
        self.sequence = 0
        self.digest = ''
        self.reports: list[objects.HostReport] = []
        self.heartbeats = 0
        self.lose_answers = 0

    def report(self, report: objects.HostReport) -> objects.ReportAck:
        self.reports.append(report)
        fits = report.sequence > self.sequence and (
            report.is_full or report.base_generation == self.generation
        )
        if fits:
            self.generation += 1
            self.sequence = report.sequence
            self.digest = report.digest
        return self._answer(fits)

    def heartbeat(
        self, host: str, generation: int, digest: str
    ) -> objects.ReportAck:
        self.heartbeats += 1
        return self._answer(
            (generation, digest) == (self.generation, self.digest)
        )

    def _answer(self, known: bool) -> objects.ReportAck:
        if self.lose_answers:
            self.lose_answers -= 1
            raise exception.ConductorUnavailable('no answer')
        return objects.ReportAck(
            generation=self.generation,
            sequence=self.sequence,
            wanted=_WANTED.NOTHING if known else _WANTED.FULL_REPORT,
        )


class ReporterTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conductor = Conductor()
        self.reporter = reporter.Reporter(self.conductor, 'h', 60)  # type: ignore[arg-type]

    def reports(self) -> list[tuple[bool, list[str], list[str], list[str]]]:
        return [
            (
                report.is_full,
                [device.address for device in report.offered],
                report.withdrawn,
                report.gone,
            )
            for report in self.conductor.reports
        ]

    def test_full_first_and_changes_after(self) -> None:
        first = snapshot(['0000:01:00.0', '0000:02:00.0'], ['0000:03:00.0'])
        self.reporter.report(first, 0)
        second = snapshot(['0000:01:00.0', '0000:03:00.0'], ['0000:04:00.0'])
        self.reporter.report(second, 1)
        self.assertEqual(
            [
                (True, ['0000:01:00.0', '0000:02:00.0'], ['0000:03:00.0'], []),
                (False, ['0000:03:00.0'], ['0000:04:00.0'], ['0000:02:00.0']),
            ],
            self.reports(),
        )
        self.assertEqual(1, self.conductor.reports[1].base_generation)
        self.assertEqual(second.digest, self.conductor.digest)

    def test_nothing_is_sent_before_it_is_due(self) -> None:
        known = snapshot(['0000:01:00.0'])
        self.assertEqual(0, self.reporter.due_in(1000))
        self.reporter.report(known, 1000)
        self.assertEqual(60, self.reporter.due_in(1000))
        self.reporter.report(known, 1059)
        self.assertEqual(0, self.conductor.heartbeats)
        self.assertEqual(1, self.reporter.due_in(1059))
        self.reporter.report(known, 1060)
        self.assertEqual(1, self.conductor.heartbeats)
        self.assertEqual(60, self.reporter.due_in(1060))
        self.assertEqual(1, len(self.conductor.reports))

    def test_due_at_once_on_a_machine_that_has_just_booted(self) -> None:
        self.assertEqual(0, self.reporter.due_in(0.1))

    def test_heartbeat_that_does_not_fit_is_followed_by_everything(
        self,
    ) -> None:
        known = snapshot(['0000:01:00.0'])
        self.reporter.report(known, 0)
        self.conductor.generation = 17
        self.reporter.report(known, 60)
        self.assertEqual(
            [True, True], [r.is_full for r in self.conductor.reports]
        )
        self.reporter.report(known, 120)
        self.assertEqual(2, self.conductor.heartbeats)
        self.assertEqual(2, len(self.conductor.reports))

    def test_change_on_another_generation_is_followed_by_everything(
        self,
    ) -> None:
        self.reporter.report(snapshot(['0000:01:00.0']), 0)
        self.conductor.generation = 17
        self.reporter.report(snapshot(['0000:02:00.0']), 1)
        self.assertEqual(
            [True, False, True], [r.is_full for r in self.conductor.reports]
        )
        self.reporter.report(snapshot(['0000:03:00.0']), 2)
        self.assertEqual(18, self.conductor.reports[-1].base_generation)

    def test_lost_answer_is_followed_by_everything(self) -> None:
        first, second = snapshot(['0000:01:00.0']), snapshot(['0000:02:00.0'])
        self.reporter.report(first, 0)
        self.conductor.lose_answers = 2
        for now in (1, 2):
            self.assertRaises(
                exception.ConductorUnavailable,
                self.reporter.report,
                second,
                now,
            )
        # Nothing new, but nobody knows that the conductor has it.
        self.reporter.report(second, 3)
        self.assertEqual(
            [True, False, True, True],
            [r.is_full for r in self.conductor.reports],
        )
        self.assertEqual(second.digest, self.conductor.digest)

    def test_lost_heartbeat_is_repeated_at_once(self) -> None:
        known = snapshot(['0000:01:00.0'])
        self.reporter.report(known, 0)
        self.conductor.lose_answers = 1
        self.assertRaises(
            exception.ConductorUnavailable, self.reporter.report, known, 60
        )
        self.assertEqual(0, self.reporter.due_in(61))
        self.reporter.report(known, 61)
        self.assertEqual(2, self.conductor.heartbeats)
        self.assertEqual(1, len(self.conductor.reports))

    def test_sequence_goes_on_after_a_clock_that_went_back(self) -> None:
        self.conductor.sequence = 2**62
        self.reporter.report(snapshot(['0000:01:00.0']), 0)
        self.assertEqual(2**62 + 1, self.conductor.sequence)
        self.assertEqual(1, self.conductor.generation)

    def test_another_agent_for_the_same_host(self) -> None:
        class Restless(Conductor):
            def report(self, report: objects.HostReport) -> objects.ReportAck:
                self.sequence = report.sequence + 1
                return super().report(report)

        service = reporter.Reporter(Restless(), 'h', 60)  # type: ignore[arg-type]
        error = self.assertRaises(
            exception.ConductorUnavailable,
            service.report,
            snapshot(['0000:01:00.0']),
            0,
        )
        self.assertIn('another agent', error.text)

    def test_sequence_always_grows(self) -> None:
        for number in range(1, 20):
            self.reporter.report(snapshot([f'0000:{number:02x}:00.0']), number)
        sequences = [r.sequence for r in self.conductor.reports]
        self.assertEqual(sorted(set(sequences)), sequences)
