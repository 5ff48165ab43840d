# SPDX-License-Identifier: Apache-2.0
"""The base class of tests in the cloud."""

from collections.abc import Iterable
import concurrent.futures
from typing import Any
from typing import Final

from openstack import exceptions as sdk_exceptions
import testtools
from testtools import content

from pci_passthrough.tests.e2e import cloud as cloud_module
from pci_passthrough.tests.e2e import compute_host
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import views

#: Prefixes of the services whose logs a failed test shows.
_SERVICES: Final = ('nova', 'agent', 'nic-agent', 'pci-passthrough')
#: Number of lines that a failed test shows of each log.
_LOG_LINES: Final = 100


class CloudTestCase(testtools.TestCase):
    """Uses the shared cloud, and checks that nothing is left behind.

    :ivar cloud: the cloud.
    :ivar compute: the SDK's proxy of Nova's API, as the administrator.
    :ivar network: the SDK's proxy of Neutron's API, as the administrator.
    :ivar user_ports: the ids of the ports that the test has created.
    :ivar views: which instance holds which device.
    """

    def setUp(self) -> None:
        super().setUp()
        self.cloud = cloud_module.shared()
        self.compute = self.cloud.sdk.compute
        self.network = self.cloud.sdk.network
        self.user_ports: set[str] = set()
        self.views = views.Views(self.cloud)
        self._begins = {
            name: len(daemon.log)
            for name, daemon in self.cloud.daemons.items()
        }
        self.addOnException(self._show_logs)
        # Runs after the cleanups of the test.
        self.addCleanup(self.assert_all_free)

    def _show_logs(self, _: object) -> None:
        for name, daemon in self.cloud.daemons.items():
            if not name.startswith(_SERVICES):
                continue
            lines = daemon.log[self._begins[name] :].splitlines()
            # Skip debug lines of Nova and uWSGI's lines about requests.
            shown = [
                line
                for line in lines
                if ' DEBUG ' not in line and not line.startswith('[pid: ')
            ][-_LOG_LINES:]
            if shown:
                text = '\n'.join(shown)
                self.addDetail(name, content.text_content(text))

    def create_flavor(self, disk: int = 0, **extra_specs: str) -> str:
        """Create a Nova flavor; return its id.

        :param disk: GiB.
        :param extra_specs: ``pci_flavor`` for
            ``pci_passthrough:pci_flavor``, and so on.
        """
        flavor = self.compute.create_flavor(
            name=self.getUniqueString(), ram=64, vcpus=1, disk=disk
        )
        self.addCleanup(self.compute.delete_flavor, flavor)
        if extra_specs:
            self.compute.create_flavor_extra_specs(
                flavor,
                {f'pci_passthrough:{n}': v for n, v in extra_specs.items()},
            )
        return str(flavor.id)

    def create_pci_flavor(self, match: str, *options: str) -> str:
        """Create a PCI flavor; return its name."""
        name = self.getUniqueString(self._testMethodName)
        self.cloud.manage('flavor', 'create', name, '--match', match, *options)
        self.addCleanup(self.cloud.manage, 'flavor', 'delete', name)
        return name

    def create_port(self, network: str, vnic_type: str, *tags: str) -> Any:
        """Create a port like a user.

        :param network: the network's name.
        """
        port = self.network.create_port(
            network_id=self.cloud.networks[network],
            binding_vnic_type=vnic_type,
        )
        self.addCleanup(self.network.delete_port, port)
        self.user_ports.add(port.id)
        self.network.set_tags(port, tags)
        return port

    def create_server(
        self,
        flavor: str,
        host: str | None = None,
        compute: Any = None,
        networks: Any = 'none',
    ) -> Any:
        """Create an instance, and do not wait for it.

        :param host: the host of the instance, None for any host.
        :param compute: the proxy to use instead of the administrator's.
        :param networks: as in Nova's API.
        """
        # Not "zone:host", with which the scheduler calls no filter.
        where = {} if host is None else {'host': host}
        server = (compute or self.compute).create_server(
            name=self.getUniqueString(),
            image_id=self.cloud.image,
            flavor_id=flavor,
            networks=networks,
            **where,
        )
        self.addCleanup(self.delete, server)
        return server

    def boot(
        self, flavor: str, host: str | None = None, networks: Any = 'none'
    ) -> Any:
        """Create an instance and wait until it is active."""
        server = self.create_server(flavor, host, networks=networks)
        return self.wait_for_status(server, 'ACTIVE')

    def create_many(
        self, flavor: str, number: int, host: str | None = None
    ) -> list[Any]:
        """Create several instances at the same time, with one call each."""

        def create(_: int) -> Any:
            # A session of requests is not thread-safe.
            with self.cloud.control.connect() as sdk:
                return self.create_server(flavor, host, sdk.compute)

        with concurrent.futures.ThreadPoolExecutor(number) as pool:
            return list(pool.map(create, range(number)))

    def shelve_and_unshelve(self, server: Any) -> Any:
        """Shelve an instance, which frees its devices, and unshelve it."""
        self.compute.shelve_server(server.id)
        self.wait_for_status(server, 'SHELVED_OFFLOADED')
        self.wait_for_holdings({})
        self.compute.unshelve_server(server.id)
        return self.wait_for_status(server, 'ACTIVE')

    def evacuate(self, server: Any, dead: compute_host.ComputeHost) -> None:
        """Let a host fail, evacuate its only instance, and repair the host."""
        self.addCleanup(dead.nova_compute.start)
        dead.nova_compute.kill()
        dead.kill_guests()
        self._set_down(dead, True)
        self.compute.evacuate_server(server.id)
        # Its status is ACTIVE all the time.
        processes.wait_for(
            lambda: self._has_left(server, dead),
            f'the instance on another host than {dead.name}',
        )
        dead.nova_compute.start()
        processes.wait_for(
            lambda: dead.domains() == {}, 'the dead host cleaned up'
        )
        processes.wait_for(
            lambda: self._is_let_up(dead),
            'Nova sees the evacuation through',
            pause=1,
        )

    def _set_down(self, host: compute_host.ComputeHost, down: bool) -> None:
        [service] = self.compute.services(
            binary='nova-compute', host=host.name
        )
        self.compute.update_service_forced_down(
            service, host.name, 'nova-compute', down
        )

    def _is_let_up(self, host: compute_host.ComputeHost) -> bool:
        # Nova refuses this until the host has cleaned up the evacuation.
        try:
            self._set_down(host, False)
        except sdk_exceptions.HttpException:
            return False
        return True

    def _has_left(self, server: Any, dead: compute_host.ComputeHost) -> bool:
        seen = self.compute.get_server(server.id)
        if seen.status == 'ERROR':
            self.fail(str(seen.fault))
        return seen.compute_host != dead.name and not seen.task_state

    def wait_for_status(self, server: Any, *statuses: str) -> Any:
        """Wait until an instance has one of the statuses; return it.

        :raises AssertionError: its status is ERROR, which is not expected.
        """
        seen = [server]

        def has_status() -> bool:
            seen.append(self.compute.get_server(server.id))
            status = seen[-1].status
            if status == 'ERROR' and status not in statuses:
                self.fail(f'{server.id}: {seen[-1].fault}')
            return status in statuses

        processes.wait_for(
            has_status,
            f'{server.id} in {statuses}',
            pause=0.3,
            blame=lambda: f'it is {seen[-1].status}, {seen[-1].task_state}',
        )
        return seen[-1]

    def delete(self, *servers: Any) -> None:
        """Delete instances, if they exist, and wait until they are gone."""
        for server in servers:
            self.compute.delete_server(server.id, ignore_missing=True)
        for server in servers:
            self.wait_until_gone(server)

    def wait_until_gone(self, server: Any) -> None:
        """Wait until an instance is deleted and its devices are free.

        Nova's API removes the instance first, a moment before the device is
        free.
        """

        def is_gone() -> bool:
            try:
                self.compute.get_server(server.id)
            except sdk_exceptions.NotFoundException:
                return server.id not in self.views.ours()
            return False

        processes.wait_for(
            is_gone,
            f'no {server.id}',
            pause=0.3,
            blame=lambda: f'held are {self.views.all()}',
        )

    def fault_of(self, server: Any) -> str:
        """Return the message of an instance's fault."""
        fault = self.compute.get_server(server.id).fault
        return str(fault['message']) if fault else ''

    def ports_of(self, server: Any) -> list[Any]:
        """Return the Neutron ports of an instance."""
        return list(self.network.ports(device_id=server.id))

    def wait_for_ports(self, server: Any) -> None:
        """Wait until Neutron's agent has set up all NICs of an instance."""
        processes.wait_for(
            lambda: {p.status for p in self.ports_of(server)} == {'ACTIVE'},
            f'the ports of {server.id} active',
            pause=0.3,
        )

    def assert_all_free(self) -> None:
        """Wait until no device is held, in all views.

        Ports that Nova has created are gone, and ports of users are unbound.
        """
        self.wait_for_holdings({})
        processes.wait_for(
            lambda: not self._ports_left(),
            'no ports left by instances',
            pause=0.5,
            blame=lambda: str(self._ports_left()),
        )

    def _ports_left(self) -> list[Any]:
        return [
            port
            for port in self.network.ports()
            if port.id not in self.user_ports
            or port.device_id
            or port.binding_profile.get('pci_slot')
        ]

    def assert_holdings(self, *servers: Any, number: int = 1) -> None:
        """Check the number of devices of each instance that holds any.

        All three views must agree which devices they are.
        """
        holdings = self.views.ours()
        self.assertEqual({s.id for s in servers}, set(holdings))
        for held in holdings.values():
            self.assertEqual(number, len(held))
        self.wait_for_holdings(holdings)
        self.assert_disjoint(holdings.values())

    def assert_disjoint(
        self, holdings: Iterable[set[tuple[str, str]]]
    ) -> None:
        """Check that no device is held twice."""
        devices = [device for held in holdings for device in held]
        self.assertEqual(len(set(devices)), len(devices))

    def wait_for_holdings(self, wanted: views.View) -> None:
        """Wait until all three views show these holdings."""
        processes.wait_for(
            lambda: all(v == wanted for v in self.views.all().values()),
            f'holdings {wanted}',
            pause=0.5,
            blame=lambda: f'they are {self.views.all()}',
        )

    def server_show(self, server: Any) -> dict[str, Any]:
        """Return the output of ``openstack server show``."""
        shown = self.cloud.openstack('server', 'show', server.id)
        assert isinstance(shown, dict)
        return shown
