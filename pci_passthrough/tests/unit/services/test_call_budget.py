# SPDX-License-Identifier: Apache-2.0
"""The limit of the calls that are executed for one host."""

import contextlib
from typing import Any

import fixtures
import oslo_messaging
import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.rpc import busy
from pci_passthrough.rpc import methods
from pci_passthrough.services import answering
from pci_passthrough.services import call_budget
from pci_passthrough.tests.unit.rpc import driver


class CallBudgetTest(testtools.TestCase):
    def test_one_host_at_its_limit(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        budget = call_budget.CallBudget(2)
        with contextlib.ExitStack() as calls:
            for _ in range(2):
                calls.enter_context(budget.call('a\n'))
            for _ in range(3):
                error = self.assertRaises(
                    exception.HostBusy, budget.call('a\n').__enter__
                )
                self.assertEqual(('a\n', 2), (error.host, error.most))
            calls.enter_context(budget.call('b'))
            calls.enter_context(budget.call(None))
        self.assertEqual(1, log.output.count('refusing further'))
        self.assertIn(r"'a\n'", log.output)
        with budget.call('a\n'):
            pass

    def test_nothing_is_left_of_hosts(self) -> None:
        budget = call_budget.CallBudget(1)
        with contextlib.suppress(ValueError), budget.call('a'):
            raise ValueError
        self.assertEqual(({}, set()), (budget._running, budget._refused))

    def test_no_limit(self) -> None:
        with contextlib.ExitStack() as calls:
            for _ in range(100):
                calls.enter_context(call_budget.CallBudget().call('a'))


class _Endpoint(call_budget.Endpoint):
    def __init__(self) -> None:
        self.called: list[Any] = []

    @answering.answers(methods.Conductor.given_out)
    def given_out(self, host: str) -> list[str]:
        self.called.append(host)
        return []

    @answering.answers(methods.Conductor.report)
    def report(self, report: objects.HostReport) -> objects.ReportAck:
        self.called.append(report.host)
        return objects.ReportAck(generation=1, sequence=1, wanted='nothing')


class AnsweringTest(testtools.TestCase):
    def test_host_of_a_call(self) -> None:
        self.useFixture(fixtures.FakeLogger())
        endpoint = _Endpoint()
        endpoint.calls = call_budget.CallBudget(1)
        report = objects.HostReport(host='a')
        with endpoint.calls.call('a'):
            for call in (
                lambda: endpoint.given_out({}, 'a'),
                lambda: endpoint.given_out({}, host='a'),
                lambda: endpoint.report({}, report),
                lambda: endpoint.report({}, report=report),
            ):
                error = self.assertRaises(
                    oslo_messaging.ExpectedException, call
                )
                # oslo.messaging wraps what a caller is to get.
                self.assertIsInstance(error.exc_info[1], exception.HostBusy)
            endpoint.given_out({}, 'b')
        endpoint.report({}, report)
        self.assertEqual(['b', 'a'], endpoint.called)


class CallerTest(testtools.TestCase):
    def test_repeated_until_admitted(self) -> None:
        refusals = iter([True, True, False])

        def answer(message: Any) -> Any:
            if next(refusals):
                raise exception.HostBusy('h', 8)
            return []

        client, sent = driver.client(answer)
        self.assertEqual([], client.given_out('h'))
        self.assertEqual(3, len(sent.sent))

    def test_bound(self) -> None:
        left: list[float] = []

        def call(seconds: float) -> None:
            left.append(seconds)
            raise exception.HostBusy('h', 8)

        self.assertRaises(exception.HostBusy, busy.until_admitted, call, 0.2)
        self.assertTrue(0.2 >= left[0] > left[-1] > 0, left)
