# SPDX-License-Identifier: Apache-2.0
"""A cloud for tests of moves, each of which can be made to fail."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any

from nova import exception as nova_exception
from nova.compute import resource_tracker
from nova.compute import rpcapi
from nova.conductor.tasks import live_migrate
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.tests.functional.api import client
from nova.virt.libvirt import driver

from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import nics

Server = Mapping[str, Any]

HOSTS = ('c0', 'c1', 'c2')


def _fail(*_args: Any, **_kwargs: Any) -> None:
    raise nova_exception.NovaException('made to fail')


def _refuse(*_args: Any, **_kwargs: Any) -> None:
    raise nova_exception.ComputeResourcesUnavailable(reason='made to fail')


def _lose_answer(
    task: live_migrate.LiveMigrationTask, *args: Any, **kwargs: Any
) -> None:
    _check_on_host(task, *args, **kwargs)
    raise RuntimeError('the answer was lost')


def _cast(*args: Any, **kwargs: Any) -> None:
    # As casts are calls, the source would get the destination's error.
    with contextlib.suppress(Exception):
        _finish_resize(*args, **kwargs)


_finish_resize = rpcapi.ComputeAPI.finish_resize

_check_on_host = live_migrate.LiveMigrationTask._call_livem_checks_on_host

#: Phase in which a move fails: what fails, and the function in its place.
FAILURES: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    # Of a resize: on all destinations, on the source, on the destination.
    'claim': (resource_tracker.ResourceTracker, 'resize_claim', _refuse),
    'source': (driver.LibvirtDriver, 'migrate_disk_and_power_off', _fail),
    'destination': (driver.LibvirtDriver, 'finish_migration', _fail),
    # Of a live migration.
    'check': (driver.LibvirtDriver, 'check_can_live_migrate_source', _fail),
    'answer': (
        live_migrate.LiveMigrationTask,
        '_call_livem_checks_on_host',
        _lose_answer,
    ),
    'prepare_live': (driver.LibvirtDriver, 'pre_live_migration', _fail),
    'transfer': (
        fakelibvirt.Domain,
        'migrateToURI3',
        lambda domain, *_args, **_kwargs: domain.fail_job(),
    ),
    # Of an evacuation.
    'evacuation_claim': (
        resource_tracker.ResourceTracker,
        'rebuild_claim',
        _refuse,
    ),
    'spawn': (driver.LibvirtDriver, 'spawn', _fail),
}


@contextlib.contextmanager
def failing(phase: str) -> Iterator[None]:
    """Let moves fail in a phase."""
    owner, name, value = FAILURES[phase]
    with (
        base.replaced(owner, name, value),
        base.replaced(rpcapi.ComputeAPI, 'finish_resize', _cast),
    ):
        yield


class MovesTest(nics.NicsTest):
    """Three hosts with three GPUs each.

    :ivar gpus: number of GPUs that the server has by its flavor.
    :ivar nics: number of its NICs with devices.
    :ivar port: the user's port of one of them.
    """

    def setUp(self) -> None:
        super().setUp()
        self.distinguish_devices()
        self.flags(device_detach_timeout='1', group='libvirt')
        match = {**base.GPU, 'e.live_migratable': 'true'}
        self.create_pci_flavor('gpu', match)
        self.end_guests_of_cold_migrations()

    def start_hosts(self, with_nics: bool = False) -> None:
        """Start the hosts; their devices have different addresses."""
        for number, name in enumerate(HOSTS):
            start = self.start_nic_host if with_nics else self.start_host
            start(name, bus=0x81 + number, gpus=3, live_migratable='true')

    def boot_with_gpus(self, gpus: int, with_nics: bool = False) -> Server:
        """Create a server on c0."""
        self.gpus = gpus
        self.nics = 2 if with_nics else 0
        flavor = self.gpu_flavor(gpus)
        if not with_nics:
            return self.boot(flavor_id=flavor, host='c0')
        self.port = self.net.port(self.net.blue, 'direct', 'pci-flavor=10g')
        return self.boot_with(
            self.nic(self.net.red),
            {'port': self.port['id']},
            flavor_id=flavor,
            host='c0',
        )

    def gpu_flavor(self, gpus: int) -> str:
        """Create a Nova flavor that asks for some GPUs."""
        return self.create_flavor(f'gpu:{gpus}' if gpus else None)

    def check(self, server: Server, host: str | None = None) -> str:
        """Check that a server has its devices, and nobody any other.

        :returns: its host.
        """
        at = self.host_of(server)
        if host is not None:
            self.assertEqual(host, at)
        self.run_periodic_tasks()
        self.assert_clean(*(other for other in HOSTS if other != at))
        self.assert_consistent(at, server, self.gpus + self.nics)
        self.assertEqual(self.gpus, len(self.hostdevs(at, server)))
        if self.nics:
            self.assertEqual(self.nics, len(self.assert_nics(at, server)))
        return at

    def check_asked(self) -> None:
        """Check that the scheduler asked for the server's devices only."""
        asked = [
            sum(
                request['pci_passthrough_object.data']['count']
                for request in offer['requests']
            )
            for offer in self.scheduler_offers()
            if offer['requests']
        ]
        wanted = self.gpus + self.nics
        self.assertEqual({wanted} if wanted else set(), set(asked))

    # -- operations --

    def evacuate(self, server: Server) -> None:
        """Evacuate a server; its host comes back later."""
        host = self.host_of(server)
        self.forget_former_guests(server, host)
        self.force_down(host)
        self._evacuate_server(server)
        self.assertNotEqual(host, self.host_of(server))
        self._start_server(server)
        self.start_again(host)

    def forget_former_guests(self, server: Server, host: str) -> None:
        """Remove what Nova's fixture leaves of a guest on other hosts.

        In these tests all hosts have the host name of one process, so Nova
        does not undefine all domains that it leaves.
        """
        name = self.instance(server).name
        for other in HOSTS:
            if other != host:
                connection = self.computes[other].driver._host
                connection.get_connection()._vms.pop(name, None)

    def start_again(self, host: str) -> None:
        """Start the nova-compute of a host that was forced down."""
        self.restart(host)
        self.admin_api.put_service(
            self.computes[host].service_ref.uuid, {'forced_down': False}
        )

    def unshelve(self, server: Server) -> None:
        """Shelve and unshelve a server."""
        self._shelve_server(server)
        self.assert_clean(*HOSTS)
        self._unshelve_server(server)

    def migrate(self, server: Server) -> None:
        """Migrate a server cold."""
        self._migrate_server(server)
        self._confirm_resize(server)

    def live_migrate(self, server: Server) -> None:
        """Migrate a running server."""
        self._live_migrate(server, 'completed')

    def fail_to_resize(
        self, server: Server, flavor: str | None, phase: str
    ) -> None:
        """Let a resize fail, and the server work again.

        :param flavor: the ID of the new flavor; None means a cold migration.
        """
        body: dict[str, Any] = {'migrate': None}
        if flavor is not None:
            body = {'resize': {'flavorRef': flavor}}
        with failing(phase):
            # As casts are calls, Nova's API may answer with their errors.
            with contextlib.suppress(client.OpenStackApiException):
                self.admin_api.post_server_action(server['id'], body)
            self._wait_for_migration_status(server, ['error'])
            self.wait_for_no_task(server)
        if self.api.get_server(server['id'])['status'] == 'ERROR':
            self.reset(server)
        elif phase != 'claim':
            self.fail('the resize did not fail')

    def reset(self, server: Server) -> None:
        """Let an operator repair a server that is in ERROR."""
        self.admin_api.post_server_action(
            server['id'], {'os-resetState': {'state': 'active'}}
        )
        # Otherwise Nova cannot tell the devices of the guest.
        self.run_periodic_tasks()
        self._reboot_server(server, hard=True)

    def wait_for_no_task(self, server: Server) -> None:
        """Wait until nothing happens to a server."""

        def is_idle() -> bool:
            shown = self.admin_api.get_server(server['id'])
            return shown['OS-EXT-STS:task_state'] is None

        base.wait_for(is_idle, 'no task')
