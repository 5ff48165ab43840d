# SPDX-License-Identifier: Apache-2.0
"""The cloud of ``pci-passthrough-demo``, with simulated hosts.

All of it is in this process and in one folder: agents, which use libvirt's
test driver, a conductor, and optionally the REST API on loopback.
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
from pci_passthrough.demo import mdev_kernel
from pci_passthrough.demo import testdriver
from pci_passthrough.objects import fields
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store import hosts
from pci_passthrough.store import schema
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import trackers

PROG = 'pci-passthrough-demo'

#: The part of each host's configuration that an installer would write.
_PCI_INFORMATION = """\
pci_information = {"match": {"class": "network", "dev_type": "type-VF"}, \
"extra_info": {"physical_network": "physnet1", "group": "100g"}}
pci_information = {"match": {"class": "network"}, \
"extra_info": {"physical_network": "physnet1", "group": "whole-nic"}}
pci_information = {"match": {"class": "display", "product_id": "2684"}, \
"exclude": true}
pci_information = {"class": "display", "group": "gpu", "handler": "reset"}
pci_information = {"class": "storage", "group": "scratch"}
"""

#: The same of the host whose devices are no PCI functions.
_SLICES_INFORMATION = """\
pci_information = {"match": {"resource_type": "mdev", "vendor_id": "10de"}, \
"type": "nvidia-558", "description": "A quarter of an A16"}
pci_information = {"match": {"resource_type": "usb", "vendor_id": "1050"}, \
"type": "crypto-token", "description": "A YubiKey"}
pci_information = {"match": {"resource_type": "usb", "port": "*"}}
"""

#: ``register_trackers`` registers each resource tracker only once.
_TRACKER_TIMEOUT = 30 * 24 * 3600


class DemoError(Exception):
    """A step of the demonstration failed."""


class Cloud:
    """Hosts and a controller; nothing runs until it is started.

    :param folder: folder for all files of the cloud.
    :ivar config: configuration file of the controller.
    :ivar database_url: URL of the controller's database.
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
        self._kernels: list[mdev_kernel.MdevKernel] = []

    def write_hosts(self) -> list[pathlib.Path]:
        """Write the simulated hosts; return the agents' configurations."""
        return [
            self._write_host(host, _PCI_INFORMATION)
            for host in inventory.demo_hosts()
        ]

    def write_slices_host(self) -> pathlib.Path:
        """Write the host with mediated and USB devices, start its kernel.

        :returns: its agent's configuration.
        """
        host = inventory.slices_host()
        config = self._write_host(host, _SLICES_INFORMATION)
        kernel = mdev_kernel.MdevKernel(host, self._folder / host.name / 'sys')
        kernel.start()
        self._kernels.append(kernel)
        return config

    def _write_host(
        self, host: inventory.Host, information: str
    ) -> pathlib.Path:
        written = testdriver.write_host(host, self._folder)
        config = self._folder / f'{host.name}.conf'
        config.write_text(
            '[DEFAULT]\n'
            f'host = {host.name}\n'
            'transport_url = fake:/\n'
            f'log_file = {self._folder}/demo.log\n'
            '[agent]\n'
            'preparation_interval = 1\n'
            f'connection_uri = {written.uri}\n'
            f'host_root = {written.host_root}\n' + information
        )
        return config

    def start_conductor(self) -> None:
        """Create the database's schema, and start a conductor."""
        self._conf = conf_module.load([f'--config-file={self.config}'], PROG)
        logging.setup(self._conf, 'pci_passthrough')
        service = conductor.ConductorService(self._conf)
        schema.sync(service.database)
        service.start()
        self._services.append(service)
        self.database = service.database

    def start_agents(self, configs: Sequence[pathlib.Path]) -> None:
        """Start an agent for each host; return when its devices are ready.

        They start one after the other, so that lists always have the same
        order.

        :raises DemoError: an agent does not report.
        """
        for number, config in enumerate(configs, len(self._services)):
            service = agent.AgentService(
                conf_module.load([f'--config-file={config}'], agent_cmd.PROG)
            )
            service.start()
            self._services.append(service)
            wait_for(functools.partial(self._have_reported, number), 'reports')
            self.wait_for_cleaning()

    def wait_for_cleaning(self) -> None:
        """Return when no device is being cleaned or set up.

        :raises DemoError: an agent takes too long.
        """
        wait_for(lambda: not self._are_cleaning(), 'end of cleaning', 120)

    def _are_cleaning(self) -> bool:
        return any(
            device.status == fields.DeviceStatus.CLEANING
            for device in lookup.get_all(self.database)
        )

    def _have_reported(self, number: int) -> bool:
        """Return whether exactly this number of hosts has reported."""
        return len(hosts.get_all(self.database, store.Limits(60))) == number

    def register_trackers(self) -> None:
        """Register a resource tracker for each host, as nova-compute does.

        Nova and the REST API ignore the devices of hosts without one.
        """
        for host in inventory.demo_hosts():
            trackers.register(
                self.database, host.name, pci_passthrough.version()
            )

    def start_api(self) -> str:
        """Start the REST API without Keystone; return its URL."""
        backends = Backends.from_conf(self._conf)
        server = serving.make_server(
            '127.0.0.1',
            0,
            deploy.load(self._conf, backends, authentication.NoAuth),
            threaded=True,
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self._closers += [
            backends.close, server.server_close, thread.join, server.shutdown,
        ]  # fmt: skip
        return f'http://127.0.0.1:{server.server_port}'

    def log(self) -> str:
        """Return the services' log, before the folder is removed."""
        log = self._folder / 'demo.log'
        return log.read_text() if log.exists() else ''

    def stop(self) -> None:
        """Stop everything, in the reverse order of the start."""
        while self._closers:
            self._closers.pop()()
        for service in reversed(self._services):
            service.stop()
        for service in reversed(self._services):
            service.wait()
        while self._kernels:
            self._kernels.pop().stop()


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float = 20
) -> None:
    """Return as soon as a condition is true.

    :param what: names what the condition waits for, in the error.
    :raises DemoError: the condition is not true in time.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise DemoError(f'no {what} within {seconds} seconds')
        time.sleep(0.02)
