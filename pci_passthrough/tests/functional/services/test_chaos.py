# SPDX-License-Identifier: Apache-2.0
"""Agents and conductors that are killed, and what is left of their work."""

from collections.abc import Callable
import concurrent.futures
import uuid

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.demo import testdriver
from pci_passthrough.store import models
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs

_HOST = 'compute-1'


class ChaosTestCase(base.ServicesTestCase):
    """Base: a host, and claims on it."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.write_host(_HOST, nics=1, vfs=4, gpus=2)
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)

    def claim(
        self, instance: str, timeout: float = programs.PATIENCE
    ) -> Callable[[], list[objects.PciDevice]]:
        """Begin to claim two devices; the result is to be called for."""
        return self.pool.submit(
            self.client(timeout).claim,
            claims.ClaimRequest(_HOST, instance, [base.request(2)], 'nova'),
        ).result

    def held(self, instance: str) -> list[str]:
        return sorted(
            address
            for address, device in self.devices(_HOST).items()
            if device.instance_uuid == instance
        )

    def check_claim_again(self, instance: str) -> None:
        """Repeat a claim whose answer was lost; finish it."""
        devices = self.claim(instance)()
        self.assertEqual(2, len(devices))
        self.assertEqual(
            sorted(d.address for d in devices), self.held(instance)
        )
        again = self.claim(instance)()
        self.assertEqual(
            {d.address for d in devices}, {d.address for d in again}
        )
        self.client().allocate(_HOST, instance, 'nova')
        self.wait_for_sign_of_life(_HOST)
        self.check_consistent(self.host)
        self.client().free(None, instance, 'nova')
        self.assertEqual({'available'}, set(self.states(_HOST).values()))
        self.check_consistent(self.host)


class AgentKilledTest(ChaosTestCase):
    def test_agent_is_killed_while_its_report_is_applied(self) -> None:
        self.start_conductor()
        agent = self.start_agent(self.host)
        self.wait_for_report(_HOST)
        agent.kill()
        with self.locked(models.compute_nodes):
            agent.start()
            self.wait_for_blocked()
            agent.kill()
        agent.start()
        # The report of the dead agent, and that of the living.
        self.wait_for_report(_HOST, 3)
        self.wait_for_sign_of_life(_HOST)
        self.check_consistent(self.host)

    def test_agent_is_killed_before_its_report_is_read(self) -> None:
        conductor = self.start_conductor()
        agent = self.start_agent(self.host)
        self.wait_for_report(_HOST)
        agent.kill()
        conductor.kill()
        unread = self.unread_calls()
        agent.start()
        programs.wait_for(
            lambda: self.unread_calls() > unread, 'a report in the queue'
        )
        agent.kill()
        agent.start()
        conductor.start()
        programs.wait_for(lambda: not self.unread_calls(), 'an empty queue')
        # The living agent's, whichever of the two reports came first.
        for _ in range(2):
            self.wait_for_sign_of_life(_HOST)
        self.check_consistent(self.host)


class ConductorKilledTest(ChaosTestCase):
    def start_agent_that_repeats(self, host: testdriver.DemoHost) -> None:
        """Start an agent that does not wait long for a dead conductor."""
        self.start_agent(host, rpc_timeout=5)
        self.wait_for_report(host.name)

    def test_conductor_is_killed_in_the_middle_of_a_claim(self) -> None:
        conductor = self.start_conductor()
        self.start_agent_that_repeats(self.host)
        before = self.states(_HOST)
        instance = str(uuid.uuid4())
        with self.locked(models.pci_devices):
            claim = self.claim(instance, timeout=5)
            self.wait_for_blocked()
            conductor.kill()
        self.assertRaises(exception.ConductorUnavailable, claim)
        self.assertEqual(before, self.states(_HOST))
        self.check_consistent(self.host)
        conductor.start()
        self.check_claim_again(instance)

    def test_conductor_is_killed_before_it_answers(self) -> None:
        mortal = self.start_odd_conductor('mortal')
        self.start_agent_that_repeats(self.host)
        instance = str(uuid.uuid4())

        def has_died() -> bool:
            self.assertRaises(
                exception.ConductorUnavailable, self.claim(instance, timeout=3)
            )
            return not mortal.is_running

        programs.wait_for(has_died, 'the death of the conductor')
        self.assertEqual(2, len(self.held(instance)))
        self.start_conductor()
        self.check_claim_again(instance)

    def test_conductor_is_killed_while_a_report_is_applied(self) -> None:
        conductor = self.start_conductor()
        agent = self.start_agent(self.host, rpc_timeout=5)
        self.wait_for_report(_HOST)
        agent.kill()
        with self.locked(models.compute_nodes):
            agent.start()
            self.wait_for_blocked()
            conductor.kill()
        self.assertEqual(1, self.generation(_HOST))
        conductor.start()
        agent.wait_for_log('delivered again')
        self.wait_for_report(_HOST, 2)
        self.check_consistent(self.host)

    def test_one_of_two_conductors_is_killed(self) -> None:
        first = self.start_conductor('controller-1')
        self.start_conductor('controller-2')
        other = self.write_host('compute-2', nics=1)
        for host in (self.host, other):
            self.start_agent_that_repeats(host)
        first.kill()
        for name in (_HOST, 'compute-2'):
            for _ in range(2):
                self.wait_for_sign_of_life(name)
        self.check_claim_again(str(uuid.uuid4()))
        self.check_consistent(self.host, other)

    def test_conductor_that_is_asked_to_end_finishes_a_claim(self) -> None:
        conductor = self.start_conductor()
        self.start_agent(self.host)
        self.wait_for_report(_HOST)
        instance = str(uuid.uuid4())
        with self.locked(models.pci_devices):
            claim = self.claim(instance)
            self.wait_for_blocked()
            end = self.pool.submit(conductor.terminate)
            conductor.wait_for_log('Caught SIGTERM')
            self.assertFalse(end.done())
        self.assertEqual(2, len(claim()))
        end.result()
        self.assertNotIn('Traceback', conductor.log)
