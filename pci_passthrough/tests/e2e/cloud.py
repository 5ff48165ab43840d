# SPDX-License-Identifier: Apache-2.0
"""The cloud: control plane and compute hosts."""

import atexit
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import functools
import json
import os
import pathlib
import shutil
import subprocess
import threading
from typing import Any
from typing import Final

import fixtures
import sqlalchemy as sa

from pci_passthrough.demo import inventory
from pci_passthrough.tests.e2e import compute_host
from pci_passthrough.tests.e2e import control_plane
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import shell

#: Each host has four GPUs, two of which are an H100, a disk, two NICs with
#: three virtual functions each, a GPU for vGPUs, and a USB token.
_SHAPES: Final = tuple(
    inventory.HostShape(
        name, nics=2, vfs=3, total_vfs=8, gpus=4, nvmes=1, consumer_gpus=0,
        vgpu_cards=1, usb_tokens=1,
    )
    for name in ('compute-1', 'compute-2')
)  # fmt: skip

#: Network to its physical network. There is no DHCP agent.
_NETWORKS: Final = {'net1': 'physnet1', 'net2': 'physnet2'}

#: Environment variable with the folder to which the logs are copied.
_KEEP_LOGS: Final = 'PCI_PASSTHROUGH_E2E_LOGS'


class Cloud(fixtures.Fixture):
    """A running cloud with two compute hosts.

    :ivar control: the control plane.
    :ivar hosts: the compute hosts by name.
    :ivar sdk: a connection as the administrator.
    :ivar image: the id of an empty image.
    :ivar networks: the ids of the networks, which all projects may use.
    """

    control: control_plane.ControlPlane
    sdk: Any
    image: str
    networks: Mapping[str, str]

    def _setUp(self) -> None:
        self.hosts: dict[str, compute_host.ComputeHost] = {}
        self.control = self.useFixture(control_plane.ControlPlane())
        self.folder = self.control.site.folder
        self.addCleanup(self._keep_logs)
        compute_host.build_tools(self.folder)
        hosts = [
            compute_host.ComputeHost(
                self.control.site, shape, self.control.nova_files
            )
            for shape in _SHAPES
        ]
        processes.set_up_together(self, *hosts)
        self.hosts = {host.name: host for host in hosts}
        self.sdk = self.control.connect()
        self.addCleanup(self.sdk.close)
        self.image = self._create_image()
        self.networks = {
            name: self._create_network(name, physical_network, number)
            for number, (name, physical_network) in enumerate(
                _NETWORKS.items(), 1
            )
        }
        self._wait_for_hosts()

    @property
    def daemons(self) -> dict[str, processes.Daemon]:
        """All services of the cloud, by name."""
        daemons = dict(self.control.daemons)
        for host in self.hosts.values():
            for daemon in host.daemons:
                daemons[daemon.name] = daemon
        return daemons

    def _create_image(self) -> str:
        file = self.folder / 'blank.raw'
        with file.open('wb') as image:
            image.truncate(1 << 20)
        created = self.sdk.image.create_image(
            'blank',
            filename=str(file),
            disk_format='raw',
            container_format='bare',
            visibility='public',
            validate_checksum=False,
        )
        return str(created.id)

    def _create_network(
        self, name: str, physical_network: str, number: int
    ) -> str:
        network = self.sdk.network.create_network(
            name=name,
            shared=True,
            provider_network_type='vlan',
            provider_physical_network=physical_network,
        )
        self.sdk.network.create_subnet(
            network_id=network.id,
            ip_version=4,
            cidr=f'192.0.{number}.0/24',
            enable_dhcp=False,
        )
        return str(network.id)

    def _wait_for_hosts(self) -> None:
        for host in self.hosts.values():
            host.nova_compute.wait_until(
                functools.partial(self._knows_node, host.name),
                'it has registered itself and its resources',
            )
        processes.run(
            [
                processes.BIN / 'nova-manage',
                f'--config-file={self.control.etc}/nova/nova.conf',
                'cell_v2',
                'discover_hosts',
            ],
            self.folder / 'discover-hosts.log',
        )
        for host in self.hosts.values():
            host.nic_agent.wait_until(
                functools.partial(self._has_nic_agent, host.name),
                'it has reported itself',
            )
            host.agent.wait_until(
                functools.partial(self._offers, host.name),
                'it has reported its devices',
            )

    def _offers(self, host: str) -> bool:
        return host in self.pools()

    def _has_nic_agent(self, host: str) -> bool:
        # Without the agent Neutron binds no port of a virtual function.
        return any(self.sdk.network.agents(host=host, is_alive=True))

    def _knows_node(self, host: str) -> bool:
        with self.database('nova_cell1') as connection:
            result = connection.execute(
                sa.text('SELECT 1 FROM compute_nodes WHERE host = :host'),
                {'host': host},
            )
            return result.first() is not None

    @contextlib.contextmanager
    def database(self, name: str) -> Iterator[sa.Connection]:
        """Connect to one of the databases."""
        engine = sa.create_engine(
            self.control.site.databases[name],
            poolclass=sa.NullPool,
            isolation_level='AUTOCOMMIT',
        )
        with engine.connect() as connection:
            yield connection

    def manage(self, *words: str, status: int = 0) -> Any:
        """Run ``pci-passthrough-manage``; return its output as data.

        :raises CloudError: it ended with another status.
        """
        config = self.control.etc / 'pci_passthrough/conductor.conf'
        done = subprocess.run(
            [
                processes.BIN / 'pci-passthrough-manage',
                f'--config-file={config}',
                *words,
            ],
            env=processes.environment(),
            capture_output=True,
            text=True,
            timeout=processes.PATIENCE,
            check=False,
        )
        if done.returncode != status:
            raise processes.CloudError(
                f'{words}: {done.returncode}\n{done.stdout}{done.stderr}'
            )
        return json.loads(done.stdout) if '-f' in words else None

    def restart_nova(self) -> None:
        """Restart all processes of Nova."""
        self.control.restart_nova()
        self.restart_computes()

    def restart_computes(self) -> None:
        """Restart nova-compute on all hosts, and wait for its resources."""
        services = [host.nova_compute for host in self.hosts.values()]
        begins = [len(service.log) for service in services]
        for service in services:
            service.restart()
        for service, begin in zip(services, begins, strict=True):
            service.wait_for_log('Compute_service record updated', begin)

    def openstack(self, *words: str) -> Any:
        """Run ``openstack`` as the administrator; return its output."""
        return shell.Shell(self.control.credentials()).table(*words)

    def pools(self) -> dict[str, list[dict[str, Any]]]:
        """Return the pools by host."""
        pools: dict[str, list[dict[str, Any]]] = {}
        for pool in self.manage('pool', 'list', '-f', 'json'):
            pools.setdefault(pool['Host'], []).append(pool)
        return pools

    def _keep_logs(self) -> None:
        if target := os.environ.get(_KEEP_LOGS):
            pathlib.Path(target).mkdir(parents=True, exist_ok=True)
            for log in self.folder.glob('*.log'):
                shutil.copy(log, target)


_shared: list[Cloud | BaseException] = []
_shared_lock = threading.Lock()


def shared() -> Cloud:
    """Return the cloud that all tests of a process share.

    The cloud starts with the first call and ends with the process. If it
    does not start, each later call fails at once with the same error.
    """
    with _shared_lock:
        if not _shared:
            _shared.append(_start())
        if isinstance(_shared[0], BaseException):
            raise processes.CloudError('there is no cloud') from _shared[0]
        return _shared[0]


def _start() -> Cloud | BaseException:
    cloud = Cloud()
    try:
        cloud.setUp()
    except Exception as error:
        return processes.first_cause(error)
    atexit.register(_end, cloud, os.getpid())
    return cloud


def _end(cloud: Cloud, owner: int) -> None:
    # A forked child inherits the handler, but not the cloud.
    if os.getpid() == owner:
        cloud.cleanUp()
