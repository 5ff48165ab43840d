# SPDX-License-Identifier: Apache-2.0
"""The cloud of ``pci-passthrough-demo``: hosts that are made up.

All in this process and in one folder: agents, which ask libvirt's test
driver, a conductor, and if need be the REST service on loopback.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
import pathlib
import threading
import time

from oslo_log import log as logging
from werkzeug import serving

import pci_passthrough
from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.api import authentication
from pci_passthrough.api import deploy
from pci_passthrough.api.backends import Backends
from pci_passthrough.cmd import agent as agent_cmd
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store import hosts
from pci_passthrough.store import schema
from pci_passthrough.store.devices import trackers

PROG = 'pci-passthrough-demo'

#: What puppet would have put on each of the hosts.
_PCI_INFORMATION = """\
pci_information = {"match": {"class": "network", "dev_type": "type-VF"}, \
"extra_info": {"physical_network": "physnet1", "group": "100g"}}
pci_information = {"match": {"class": "network"}, \
"extra_info": {"physical_network": "physnet1", "group": "whole-nic"}}
pci_information = {"match": {"class": "display", "product_id": "2684"}, \
"exclude": true}
pci_information = [{"class": "display"}, {"e.group": "gpu"}]
pci_information = {"class": "storage", "group": "scratch"}
"""

#: No nova-compute repeats what ``register_trackers`` said once.
_TRACKER_TIMEOUT = 30 * 24 * 3600


class DemoError(Exception):
    """Something was not as the demonstration says it is."""


class Cloud:
    """Hosts and a controller, none of which runs at first.

    :param folder: for everything that they write.
    :ivar config: the controller's configuration.
    :ivar database_url: of its database.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.config = folder / 'conductor.conf'
        self.database_url = f'sqlite:///{folder}/pci_passthrough.sqlite'
        self.config.write_text(
            '[DEFAULT]\n'
            'host = controller\n'
            'transport_url = fake:/\n'
            f'log_file = {folder}/demo.log\n'
            '[conductor]\n'
            f'tracker_timeout = {_TRACKER_TIMEOUT}\n'
            '[database]\n'
            f'connection = {self.database_url}\n'
        )
        self._services: list[
            conductor.ConductorService | agent.AgentService
        ] = []
        self._closers: list[Callable[[], None]] = []

    def write_hosts(self) -> list[pathlib.Path]:
        """Make hosts up; return the configuration of each."""
        configs = []
        for host in inventory.demo_hosts():
            written = testdriver.write_host(host, self._folder)
            config = self._folder / f'{host.name}.conf'
            config.write_text(
                '[DEFAULT]\n'
                f'host = {host.name}\n'
                'transport_url = fake:/\n'
                f'log_file = {self._folder}/demo.log\n'
                '[agent]\n'
                f'connection_uri = {written.uri}\n'
                f'host_root = {written.host_root}\n' + _PCI_INFORMATION
            )
            configs.append(config)
        return configs

    def start_conductor(self) -> None:
        """Start a conductor; the database's schema is made if need be."""
        self._conf = conf_module.load([f'--config-file={self.config}'], PROG)
        logging.setup(self._conf, 'pci_passthrough')
        service = conductor.ConductorService(self._conf)
        schema.sync(service.database)
        service.start()
        self._services.append(service)
        self.database = service.database

    def start_agents(self, configs: Sequence[pathlib.Path]) -> None:
        """Start one for each host; return when all have reported.

        One after the other: lists are then in the same order each time.

        :raises: DemoError
        """
        for number, config in enumerate(configs, 1):
            service = agent.AgentService(
                conf_module.load([f'--config-file={config}'], agent_cmd.PROG)
            )
            service.start()
            self._services.append(service)
            wait_for(functools.partial(self._know, number), 'reports')

    def _know(self, number: int) -> bool:
        """Whether so many hosts have reported."""
        return len(hosts.get_all(self.database, store.Limits(60))) == number

    def register_trackers(self) -> None:
        """Do what each nova-compute would: without it nothing is offered."""
        for host in inventory.demo_hosts():
            trackers.register(
                self.database, host.name, pci_passthrough.version()
            )

    def start_api(self) -> str:
        """Start the REST service without Keystone; return its URL."""
        provided = Backends.from_conf(self._conf)
        server = serving.make_server(
            '127.0.0.1',
            0,
            deploy.load(self._conf, provided, authentication.NoAuth),
            threaded=True,
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self._closers += [
            provided.close, server.server_close, thread.join, server.shutdown,
        ]  # fmt: skip
        return f'http://127.0.0.1:{server.server_port}'

    def log(self) -> str:
        """Return what the services logged; the folder will be gone."""
        log = self._folder / 'demo.log'
        return log.read_text() if log.exists() else ''

    def stop(self) -> None:
        """Stop what was started last first."""
        while self._closers:
            self._closers.pop()()
        for service in reversed(self._services):
            service.stop()
        for service in reversed(self._services):
            service.wait()


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float = 20
) -> None:
    """Return as soon as a condition is true.

    :raises: DemoError
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise DemoError(f'there were no {what} within {seconds} seconds')
        time.sleep(0.02)
