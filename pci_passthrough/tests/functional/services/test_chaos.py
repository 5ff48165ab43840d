# SPDX-License-Identifier: Apache-2.0
"""Agents and conductors that are killed, and what is left of their work."""

from collections.abc import Callable
import concurrent.futures
import time
import uuid

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import models
from pci_passthrough.tests.functional.services import base

_HOST = 'compute-1'


class ChaosTestCase(base.ServicesTestCase):
    """Base: a host, and claims on it."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.write_host(_HOST, nics=1, vfs=4, gpus=2)
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)

    def claim(
        self, instance: str, timeout: float = 30
    ) -> Callable[[], list[objects.PciDevice]]:
        """Begin to claim two devices; the result is to be called for."""
        return self.pool.submit(
            self.client(timeout).claim,
            _HOST,
            instance,
            [base.request(2)],
            'nova',
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
        conductor = self.start_conductor()
        agent = self.start_agent(self.host)
        agent.wait_for_log('next: nothing')
        agent.kill()
        with self.locked(models.compute_nodes):
            agent.start()
            self.wait_for_blocked()
            agent.kill()
        agent.start()
        agent.wait_for_log('next: nothing', 2)
        # The report of the dead agent, and that of the living.
        self.wait_for_report(_HOST, 3)
        self.wait_for_sign_of_life(_HOST)
        self.assertEqual(3, self.generation(_HOST))
        self.assertEqual(3, conductor.log.count('Report of'))
        self.check_consistent(self.host)

    def test_agent_is_killed_before_its_report_is_read(self) -> None:
        conductor = self.start_conductor()
        agent = self.start_agent(self.host, rpc_timeout=30)
        agent.wait_for_log('next: nothing')
        agent.kill()
        with agent.config.open('a') as config:
            config.write(
                '[DEFAULT]\ndebug = true\n'
                'default_log_levels = oslo_messaging=DEBUG\n'
            )
        conductor.freeze()
        agent.start()
        agent.wait_for_log('CALL msg_id')
        # From there to the broker.
        time.sleep(0.5)
        agent.kill()
        agent.start()
        agent.wait_for_log('CALL msg_id', 2)
        conductor.freeze(False)
        agent.wait_for_log('next: nothing', 2)
        self.wait_for_sign_of_life(_HOST)
        # The first one's, the dead one's and the living one's.
        self.assertEqual(3, conductor.log.count('Report of'))
        self.check_consistent(self.host)


class ConductorKilledTest(ChaosTestCase):
    def test_conductor_is_killed_in_the_middle_of_a_claim(self) -> None:
        conductor = self.start_conductor()
        self.start_agent(self.host)
        self.wait_for_report(_HOST)
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
        self.start_agent(self.host)
        mortal = self.start_odd_conductor('mortal')
        self.wait_for_report(_HOST)
        instance = str(uuid.uuid4())
        self.assertRaises(
            exception.ConductorUnavailable, self.claim(instance, timeout=3)
        )
        mortal.kill()
        self.assertEqual(2, len(self.held(instance)))
        self.start_conductor()
        self.check_claim_again(instance)

    def test_conductor_is_killed_while_a_report_is_applied(self) -> None:
        conductor = self.start_conductor()
        agent = self.start_agent(self.host)
        agent.wait_for_log('next: nothing')
        agent.kill()
        with self.locked(models.compute_nodes):
            agent.start()
            self.wait_for_blocked()
            conductor.kill()
        conductor.start()
        agent.wait_for_log('next: nothing', 2)
        self.assertEqual(1, agent.log.count('not delivered'))
        self.check_consistent(self.host)

    def test_one_of_two_conductors_is_killed(self) -> None:
        first = self.start_conductor('controller-1')
        self.start_conductor('controller-2')
        other = self.write_host('compute-2', nics=1)
        agents = [self.start_agent(host) for host in (self.host, other)]
        for name in (_HOST, 'compute-2'):
            self.wait_for_report(name)
        first.kill()
        for name in (_HOST, 'compute-2'):
            for _ in range(2):
                self.assertTrue(self.wait_for_sign_of_life(name) < 15)
        for agent in agents:
            self.assertTrue(agent.log.count('not delivered') <= 1, agent.log)
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
        self.assertTrue(end.result() < 30)
        self.assertNotIn('Traceback', conductor.log)
