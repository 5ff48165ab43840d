# SPDX-License-Identifier: Apache-2.0
"""The broker or the database goes away and comes back."""

import uuid

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs

_HOST = 'compute-1'


class _Broker(servers.RabbitMQ):
    """One that no other test uses."""


class _Database(servers.MariaDB):
    """One that no other test uses."""


class OutageTest(base.ServicesTestCase):
    BROKER = _Broker
    DATABASE = _Database

    def setUp(self) -> None:
        super().setUp()
        # Whatever becomes of the test, the next one finds them running.
        self.addCleanup(self.broker.start)
        self.addCleanup(self.database_server.start)
        self.host = self.simulate_host(_HOST, nics=1, vfs=4, gpus=2)
        self.gpu = next(
            address
            for address, device in self.host.host.devices.items()
            if device.model.class_code >> 16 == 3
        )
        self.conductor = self.start_conductor()
        self.agent = self.start_agent(self.host, rpc_timeout=5)
        self.wait_for_report(_HOST)
        self.pids = self.conductor.pids() | self.agent.pids()
        self.instance = str(uuid.uuid4())
        self.caller = self.client()
        self.claimed = self.claim()

    def claim(self) -> set[str]:
        return {
            device.address
            for device in self.caller.claim(
                claims.ClaimRequest(
                    _HOST, self.instance, [base.request(2)], 'nova'
                )
            )
        }

    def check_all_is_well(self) -> None:
        """Check that missed changes arrive, and that claims work again."""
        programs.wait_for(
            lambda: self.gpu not in self.devices(_HOST), 'the next report'
        )
        self.wait_for_sign_of_life(_HOST)
        self.agent.wait_for_log('delivered again')
        self.assertEqual(self.claimed, self.claim())
        self.caller.allocate(_HOST, self.instance, 'nova')
        self.check_consistent(self.host)
        self.caller.free(_HOST, self.instance, 'nova')
        self.check_consistent(self.host)
        self.assertEqual(self.pids, self.conductor.pids() | self.agent.pids())

    def test_broker_restarts(self) -> None:
        self.broker.kill()
        self.agent.wait_for_log('not delivered')
        self.assertRaises(exception.ConductorUnavailable, self.claim)
        self.host.unplug(self.gpu)
        other = self.start_agent(
            self.write_host('compute-2', nics=1), rpc_timeout=1
        )
        other.wait_for_log('no connection to the broker', 2)
        other.terminate()
        other.start()
        self.broker.start()
        self.wait_for_report('compute-2')
        self.check_all_is_well()

    def test_database_restarts(self) -> None:
        self.database_server.kill()
        self.agent.wait_for_log('not delivered')
        self.assertRaises(exception.Unavailable, self.claim)
        self.host.unplug(self.gpu)
        self.database_server.start()
        self.check_all_is_well()
