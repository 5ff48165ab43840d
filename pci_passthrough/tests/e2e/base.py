# SPDX-License-Identifier: Apache-2.0
"""What the tests of the cloud have in common."""

from collections.abc import Iterable
import concurrent.futures
from typing import Any
from typing import Final

from openstack import exceptions as sdk_exceptions
import testtools
from testtools import content

from pci_passthrough.tests.e2e import cloud as cloud_module
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import views

#: Services whose logs a failed test shows, and how many lines of each.
_TELLING: Final = ('nova', 'agent', 'nic-agent', 'pci-passthrough')
_SHOWN: Final = 100


class CloudTestCase(testtools.TestCase):
    """Uses the shared cloud, and leaves it as it was.

    :ivar cloud: the cloud.
    :ivar compute: the SDK's proxy of Nova's API, as the administrator.
    :ivar network: that of Neutron's.
    :ivar user_ports: the ids of the ports that the test has made itself.
    :ivar views: who holds which device.
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
        # Runs when all that the test has made is gone.
        self.addCleanup(self.assert_all_free)

    def _show_logs(self, _: object) -> None:
        for name, daemon in self.cloud.daemons.items():
            if not name.startswith(_TELLING):
                continue
            lines = daemon.log[self._begins[name] :].splitlines()
            # Neither what is for developers of Nova, nor uWSGI's requests.
            told = [
                line
                for line in lines
                if ' DEBUG ' not in line and not line.startswith('[pid: ')
            ][-_SHOWN:]
            if told:
                text = '\n'.join(told)
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
        """Create a port, as a user does.

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
        """Ask for an instance, and do not wait for it.

        :param host: where it has to be, or None.
        :param compute: asks instead of our own proxy.
        :param networks: as Nova's API takes them.
        """
        # Not "zone:host", with which the scheduler asks no filter.
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
        """Ask for several instances at once, one request for each."""

        def create(_: int) -> Any:
            # A session of requests is not for several threads.
            with self.cloud.control.connect() as sdk:
                return self.create_server(flavor, host, sdk.compute)

        with concurrent.futures.ThreadPoolExecutor(number) as pool:
            return list(pool.map(create, range(number)))

    def shelve_and_unshelve(self, server: Any) -> Any:
        """Have an instance hold nothing for a while; return it as it is."""
        self.compute.shelve_server(server.id)
        self.wait_for_status(server, 'SHELVED_OFFLOADED')
        self.wait_for_holdings({})
        self.compute.unshelve_server(server.id)
        return self.wait_for_status(server, 'ACTIVE')

    def wait_for_status(self, server: Any, *statuses: str) -> Any:
        """Return an instance when it has one of the statuses.

        :raises AssertionError: it got into ERROR, which was not expected.
        """
        seen = [server]

        def look() -> bool:
            seen.append(self.compute.get_server(server.id))
            status = seen[-1].status
            if status == 'ERROR' and status not in statuses:
                self.fail(f'{server.id}: {seen[-1].fault}')
            return status in statuses

        processes.wait_for(
            look,
            f'{server.id} in {statuses}',
            pause=0.3,
            blame=lambda: f'it is {seen[-1].status}, {seen[-1].task_state}',
        )
        return seen[-1]

    def delete(self, *servers: Any) -> None:
        """Delete instances and wait until they are gone; they may be."""
        for server in servers:
            self.compute.delete_server(server.id, ignore_missing=True)
        for server in servers:
            self.wait_until_gone(server)

    def wait_until_gone(self, server: Any) -> None:
        """Return when an instance is deleted, and holds nothing any more.

        Nova's API forgets it first; the device comes back a moment later.
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
        """Return why an instance is in error."""
        fault = self.compute.get_server(server.id).fault
        return str(fault['message']) if fault else ''

    def ports_of(self, server: Any) -> list[Any]:
        """Return an instance's ports."""
        return list(self.network.ports(device_id=server.id))

    def wait_for_ports(self, server: Any) -> None:
        """Return when Neutron's agent has seen all NICs of an instance."""
        processes.wait_for(
            lambda: {p.status for p in self.ports_of(server)} == {'ACTIVE'},
            f'the ports of {server.id} active',
            pause=0.3,
        )

    def assert_all_free(self) -> None:
        """Check that nothing is held, whoever is asked; give it time.

        Ports that Nova has made are gone, and those of users are nobody's.
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
        """Check that these instances hold so many devices, and no other.

        All three views have to agree which devices that are.
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
        """Return when all three views agree that this is held."""
        processes.wait_for(
            lambda: all(v == wanted for v in self.views.all().values()),
            f'holdings {wanted}',
            pause=0.5,
            blame=lambda: f'they are {self.views.all()}',
        )

    def server_show(self, server: Any) -> dict[str, Any]:
        """Return what ``openstack server show`` says."""
        shown = self.cloud.openstack('server', 'show', server.id)
        assert isinstance(shown, dict)
        return shown
