# SPDX-License-Identifier: Apache-2.0
"""An agent and a conductor of one process, with a simulated host."""

import pathlib
from typing import Any

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import base as store_base

HOST = 'compute-1'


class AgentHostTest(testtools.TestCase):
    """A test with an agent, a conductor and a simulated host."""

    SHAPE: dict[str, Any] = {'nics': 1, 'vfs': 1, 'gpus': 2}
    FLAVORS: dict[str, dict[str, Any]] = {
        'gpu': {'class': 'display'},
        'disk': {'class': 'storage'},
    }

    def setUp(self) -> None:
        super().setUp()
        self.logger = self.useFixture(fixtures.FakeLogger(level=20))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.db = store.Writer(sqlite.create(self.folder / 'db'))
        self.addCleanup(self.db.close)
        shape = {'consumer_gpus': 0, **self.SHAPE}
        self.model = inventory.build_host(inventory.HostShape(HOST, **shape))
        self.host = testdriver.write_host(self.model, self.folder)
        for name, match in self.FLAVORS.items():
            self.create_flavor(name, match)

    def create_flavor(self, name: str, term: dict[str, Any]) -> None:
        editing.create(self.db, name, None, match=[term])

    def load(self, *entries: str, **options: Any) -> Any:
        values = {
            'connection_uri': self.host.uri,
            'host_root': self.host.host_root,
            'verdict_dir': self.folder / 'verdicts',
            'report_interval': 1,
            'preparation_interval': 1,
            'max_backoff': 1,
            **options,
        }
        config = self.folder / 'agent.conf'
        config.write_text(
            '\n'.join(
                [
                    '[DEFAULT]',
                    f'transport_url = fake:/\nhost = {HOST}',
                    f'[database]\nconnection = sqlite:///{self.folder}/db',
                    '[agent]',
                    *(f'{key} = {value}' for key, value in values.items()),
                    *(f'pci_information = {entry}' for entry in entries),
                ]
            )
        )
        return conf_module.load([f'--config-file={config}'], 'test')

    def start(self, *entries: str, **options: Any) -> agent.AgentService:
        conf = self.load(*entries, **options)
        service = conductor.ConductorService(conf)
        service.start()
        self.addCleanup(service.stop)
        running = agent.AgentService(conf)
        running.start()
        self.addCleanup(running.stop)
        programs.wait_for(lambda: bool(self.devices()), 'the report')
        return running

    def devices(self) -> list[objects.PciDevice]:
        return lookup.get_all(self.db)

    def states(self) -> set[str]:
        return {device.state for device in self.devices()}

    def wait_until_all_are(self, state: str) -> None:
        programs.wait_for(lambda: self.states() == {state}, state)

    def hold(self, pci_flavor: str) -> str:
        """Claim a device for an instance; return its address."""
        self.instance = store_base.new_id()
        [held] = claiming.claim(
            self.db,
            store_base.POLICY,
            claims.ClaimRequest(
                HOST,
                self.instance,
                [store_base.request(pci_flavor)],
                'test',
            ),
        )
        transitions.allocate(self.db, HOST, self.instance, 'test')
        return str(held.address)

    def give_back(self) -> None:
        client = rpc.ConductorClient(rpc.get_transport(self.load()), 60)
        self.addCleanup(client.close)
        client.free(HOST, self.instance, 'test')
