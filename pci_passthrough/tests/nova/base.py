# SPDX-License-Identifier: Apache-2.0
"""A cloud of Nova's services, with this project's plugin and conductor.

Nova's API, scheduler, conductor and computes are real, libvirt, Neutron and
Glance are Nova's own fixtures. The conductor of this project is real, too,
on a database of its own.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import datetime
import itertools
import os
import pathlib
import threading
import time
from typing import Any

import fixtures
import greenlet
from lxml import etree
from nova import context as nova_context
from nova import objects as nova_objects
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.tests.functional.api import client as api_client
from nova.tests.functional.libvirt import base as libvirt_base
from nova.tests.functional.libvirt import test_pci_sriov_servers
from oslo_concurrency import lockutils
from oslo_serialization import jsonutils
import sqlalchemy as sa

from pci_passthrough import host_verdict
from pci_passthrough import nova_api
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.objects import fields
from pci_passthrough.services import conductor
from pci_passthrough.services import preparation_endpoint
from pci_passthrough.services import quota_endpoint
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.nova import wire

#: The devices of ``NovaTest.start_host``: without SR-IOV.
GPU = {'product_id': fakelibvirt.PCI_PROD_ID}

#: Seconds after which a test gives up waiting, however busy the machine is.
PATIENCE = 120

#: The default bus of a host's devices.
BUS = 0x81

_PASTE_FILTER = """
[filter:pci_flavor]
paste.filter_factory = pci_passthrough.nova_plugin.middleware:factory
"""

_sequence = itertools.count(1)


class NovaTest(test_pci_sriov_servers._PCIServersWithMigrationTestBase):
    """A test with a cloud; ``start_host`` adds compute hosts.

    The device at slot 0 of each host is native: ``[pci] device_spec`` and the
    alias ``native`` match it. All other devices are for PCI flavors.

    :ivar db: this project's database.
    :ivar pci_conductor: a client of this project's conductor; ``conductor``
        is Nova's.
    :ivar wire: the transport between all clients and the conductor.
    """

    ADMIN_API = True
    microversion = 'latest'

    PCI_DEVICE_SPEC = [
        jsonutils.dumps(
            {
                'vendor_id': fakelibvirt.PCI_VEND_ID,
                'product_id': fakelibvirt.PCI_PROD_ID,
                'address': '*:*:00.*',
            }
        )
    ]
    PCI_ALIAS = [
        jsonutils.dumps(
            {
                'vendor_id': fakelibvirt.PCI_VEND_ID,
                'product_id': fakelibvirt.PCI_PROD_ID,
                'name': 'native',
            }
        )
    ]

    #: Nova's base class adds its own, and nova-scheduler inserts ours.
    ADDITIONAL_FILTERS = ['NUMATopologyFilter', 'PciPassthroughFilter']

    #: ``[conductor]`` of this project's configuration.
    POLICY = store.Policy(store.Limits(3600, 3600))

    def setUp(self) -> None:
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.db = self._open_database()
        #: limits of every project, by name of a PCI flavor
        self.limits: dict[str, int] = {}
        self.endpoint = conductor.ConductorEndpoint(
            self.db, self.POLICY, limits=self, aggregates=self.aggregates()
        )
        self.wire = wire.Wire(
            self.endpoint,
            preparation_endpoint.PreparationEndpoint(self.db, self.POLICY),
            quota_endpoint.QuotaEndpoint(self.db, self),
        )
        # Nova's base class deletes all attributes when a test ends.
        self.addCleanup(self.assertEqual, [], self.wire.failures)
        self.pci_conductor = self.wire.client()
        of_nova = self.wire.client()
        before = client.replace(of_nova)
        self.addCleanup(of_nova.close)
        self.addCleanup(client.replace, before)
        self.install_plugin()
        self.flags(api_paste_config=self._paste_file(), group='wsgi')
        # Beside tests of Nova, which count the filters, it is off.
        self.flags(insert_filter=True, group='pci_passthrough')
        self.verdicts = str(self.folder / 'verdicts')
        self.flags(verdict_dir=self.verdicts, group='pci_passthrough')
        super().setUp()
        self.neutron = self.useFixture(
            libvirt_base.LibvirtNeutronFixture(self)
        )
        self.useFixture(
            fixtures.MockPatch(
                'nova.virt.libvirt.driver.LibvirtDriver.'
                'migrate_disk_and_power_off',
                return_value='{}',
            )
        )

    def aggregates(self) -> nova_api.Aggregates | None:
        """Return what asks Nova for host aggregates; None means nothing."""
        return None

    def install_plugin(self) -> None:
        """Install the Nova plugin; all Nova services run in this process."""
        # Beside Nova's own tests the plugin is installed for all of them.
        if not bootstrap.replaced():
            self.addCleanup(bootstrap.uninstall)
        bootstrap.install()

    def _open_database(self) -> store.Writer:
        db = store.Writer(sqlite.create(self.folder / 'pci.sqlite'))
        self.addCleanup(db.close)
        return db

    def _paste_file(self) -> str:
        """Write Nova's api-paste.ini with this project's filter in it."""
        nova = pathlib.Path(os.environ['OS_DEFAULT__STATE_PATH'])
        text = (nova / 'etc' / 'nova' / 'api-paste.ini').read_text()
        app = 'osapi_compute_app_v21\n'
        if app not in text:
            raise AssertionError(f'no {app.strip()} in api-paste.ini')
        text = text.replace(f' {app}', f' pci_flavor {app}') + _PASTE_FILTER
        path = self.folder / 'api-paste.ini'
        path.write_text(text)
        return str(path)

    # -- limits of projects, as Keystone has them --

    def current(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """Return the limits of a project for PCI flavors, by name."""
        return {n: self.limits[n] for n in pci_flavors if n in self.limits}

    last_known = current

    # -- hosts and their devices --

    def start_host(
        self,
        name: str,
        gpus: int = 2,
        *,
        native: int = 1,
        numa_node: int | None = None,
        bus: int = BUS,
        info: fakelibvirt.HostPCIDevicesInfo | None = None,
        cell: str | None = None,
        **tags: str,
    ) -> None:
        """Start a compute host whose agent has reported.

        :param gpus: number of this project's devices without SR-IOV, from
            slot ``native`` on.
        :param native: number of native devices, from slot 0 on.
        :param numa_node: NUMA node of all devices; None means node 0 for even
            slots, node 1 for odd ones.
        :param info: all devices, instead of those.
        :param cell: name of the host's cell; None means the first one.
        :param tags: extra info of this project's devices.
        """
        info = info or fakelibvirt.HostPCIDevicesInfo(
            num_pci=native + gpus,
            num_pfs=0,
            num_vfs=0,
            bus=bus,
            numa_node=numa_node,
        )
        # As on a real host: the agent reports before nova-compute registers
        # its tracker.
        self.report(name, offered(info, native, **tags))
        self.start_compute(hostname=name, pci_info=info, cell_name=cell)

    def report(
        self, host: str, devices: list[objects.PciDevice], **changes: Any
    ) -> None:
        """Report all devices of a host, as its agent does at start.

        :param devices: all devices that the host offers.
        :param changes: other fields of the report.
        """
        number = next(_sequence)
        fields = {
            'host': host,
            'agent_version': '1',
            'is_full': True,
            'base_generation': 0,
            'sequence': number,
            'digest': f'digest {number}',
            'offered': devices,
            'withdrawn': [],
            'gone': [],
        }
        report = objects.HostReport(**fields | changes)
        self.publish(host, report.offered)
        self.pci_conductor.report(report)

    def publish(self, host: str, offered: Iterable[objects.PciDevice]) -> None:
        """Tell the nova-compute of a host what may leave it, as its agent."""
        verdict = host_verdict.Verdict(
            {
                str(device.address): host_verdict.hardware(
                    device.vendor_id, device.product_id
                )
                for device in offered
            },
            {},
        )
        host_verdict.Publisher(self.verdicts, host).publish(verdict)

    def silence(self, host: str, *, agent: bool, tracker: bool) -> None:
        """Set the last message of a host's agent or tracker to yesterday."""
        nodes = models.compute_nodes
        ago = database.now() - datetime.timedelta(days=1)
        silent = {'last_report_at': agent, 'tracker_seen_at': tracker}
        with self.db.write() as connection:
            connection.execute(
                nodes.update()
                .where(nodes.c.host == host)
                .values(
                    {
                        name: ago
                        for name, is_silent in silent.items()
                        if is_silent
                    }
                )
            )

    # -- flavors --

    def create_pci_flavor(
        self,
        name: str,
        match: list[dict[str, str]] | dict[str, str] | None = None,
        project_id: str | None = None,
        **values: Any,
    ) -> objects.PciFlavor:
        """Create a PCI flavor; by default it matches GPUs."""
        match = GPU if match is None else match
        terms = match if isinstance(match, list) else [match]
        return editing.create(self.db, name, project_id, match=terms, **values)

    def create_flavor(
        self, requests: str | None = 'gpu:1', vcpu: int = 2, **specs: str
    ) -> str:
        """Create a Nova flavor that asks for PCI flavors; return its id.

        :param specs: further extra specs, with ``__`` in a colon's place.
        """
        extra = {key.replace('__', ':'): v for key, v in specs.items()}
        if requests is not None:
            extra[request_spec.EXTRA_SPEC] = requests
        flavor_id: str = self._create_flavor(vcpu=vcpu, extra_spec=extra)
        return flavor_id

    # -- servers --

    def boot(
        self, requests: str | None = 'gpu:1', **arguments: Any
    ) -> dict[str, Any]:
        """Create a server and wait until it is active.

        :param requests: extra spec of a new Nova flavor, unless the arguments
            of ``_create_server`` have a ``flavor_id``.
        """
        if 'flavor_id' not in arguments:
            arguments['flavor_id'] = self.create_flavor(requests)
        arguments.setdefault('networks', 'none')
        server: dict[str, Any] = self._create_server(**arguments)
        return server

    def boot_in_vain(
        self, requests: str | None = 'gpu:1', **arguments: Any
    ) -> dict[str, Any]:
        """Create a server that ends in ERROR."""
        return self.boot(requests, expected_state='ERROR', **arguments)

    def boot_many(
        self,
        count: int,
        flavor_id: str,
        state: str = 'ACTIVE',
        host: str | None = None,
    ) -> list[dict[str, Any]]:
        """Create servers by one request; wait for all of them."""
        body = self._build_server(
            flavor_id=flavor_id, networks='none', host=host
        )
        body |= {'min_count': count, 'max_count': count}
        body['return_reservation_id'] = True
        answer = self.api.api_post('/servers', {'server': body}).body
        servers = self.api.get_servers(
            search_opts={'reservation_id': answer['reservation_id']}
        )
        return [
            self._wait_for_state_change(server, state) for server in servers
        ]

    def hard_reboot(self, server: Mapping[str, Any]) -> None:
        """Reboot a server hard, and wait until Nova has finished.

        For Nova, a reboot that fails while the guest runs on has succeeded.
        """
        self.api.post_server_action(server['id'], {'reboot': {'type': 'HARD'}})
        wait_for(
            lambda: (
                self.admin_api.get_server(server['id'])[
                    'OS-EXT-STS:task_state'
                ]
                is None
            ),
            'the end of the reboot',
        )

    def log(self) -> str:
        """Return what the processes of Nova have logged."""
        text: str = self.stdlog.logger.output
        return text

    def refused(self, call: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """Return status and text of the error that Nova's API answers."""
        error = self.assertRaises(
            api_client.OpenStackApiException, call, *args, **kw
        )
        return error.response.status_code, str(error)

    def host_of(self, server: Mapping[str, Any]) -> str:
        """Return the host that a server is on."""
        host: str = self.admin_api.get_server(server['id'])[
            'OS-EXT-SRV-ATTR:host'
        ]
        return host

    def instance(self, server: Mapping[str, Any]) -> Any:
        """Return Nova's object of a server."""
        return nova_objects.Instance.get_by_uuid(
            nova_context.get_admin_context(),
            server['id'],
            expected_attrs=['pci_requests', 'pci_devices', 'numa_topology'],
        )

    # -- the three views: Nova's rows, this project's devices, the guest --

    def rows(self, host: str) -> dict[str, tuple[str, str | None]]:
        """Return Nova's rows: address to status and instance."""
        context = nova_context.get_admin_context()
        node = nova_objects.ComputeNode.get_by_nodename(context, host)
        rows = nova_objects.PciDeviceList.get_by_compute_node(context, node.id)
        return {row.address: (row.status, row.instance_uuid) for row in rows}

    def attachment_rows(self, host: str) -> dict[str, tuple[str, str | None]]:
        """Return Nova's rows for devices of PCI flavors: as ``rows``."""
        known = {device.address for device in lookup.get_all(self.db, host)}
        return {
            address: row
            for address, row in self.rows(host).items()
            if address in known
        }

    def held(self, host: str) -> dict[str, tuple[str, str | None]]:
        """Return the held devices of this project's database: as ``rows``."""
        return {
            device.address: (device.status, device.instance_uuid)
            for device in lookup.get_all(self.db, host)
            if device.instance_uuid is not None
        }

    def repairs(self, host: str) -> list[str]:
        """Return the repairs in the ledger of a host, in their order."""
        events = models.pci_device_events
        statement = (
            sa.select(events.c.action)
            .where(
                events.c.host == host,
                events.c.action.in_(fields.Repair.ALL),
            )
            .order_by(events.c.id)
        )
        with self.db.read() as connection:
            return list(connection.scalars(statement))

    def hostdevs(self, host: str, server: Mapping[str, Any]) -> list[str]:
        """Return the addresses of a guest's ``<hostdev>`` elements."""
        guest = self.computes[host].driver._host.get_guest(
            self.instance(server)
        )
        addresses = etree.fromstring(guest.get_xml_desc()).findall(
            './devices/hostdev/source/address'
        )
        parts = ('domain', 'bus', 'slot', 'function')
        return sorted(
            '{:04x}:{:02x}:{:02x}.{:x}'.format(
                *(int(address.get(part), 16) for part in parts)
            )
            for address in addresses
        )

    def scheduler_offers(self) -> list[Mapping[str, Any]]:
        """Return the arguments of the scheduler's ``offer`` calls so far.

        Those of nova-compute for its own host have no ``tracked_only``, and
        those about devices elsewhere no hosts.
        """
        return [
            arguments
            for method, arguments in self.wire.messages
            if method == 'offer'
            and arguments['tracked_only']
            and arguments['hosts'] is not None
        ]

    def refusals_of(self, server: Mapping[str, Any]) -> list[str]:
        """Return the scheduler's refusals of a server, the latest last.

        The scheduler sends them without waiting, so this method waits.
        """

        of_server = scheduling_refusals.Filter(instance_uuid=server['id'])

        def summaries() -> list[str]:
            kept = self.POLICY.refusals_kept
            rows = scheduling_refusals.page(self.db, kept, of_server)
            return [str(row.summary) for row in reversed(rows)]

        wait_for(lambda: bool(summaries()), f'refusals of {server["id"]}')
        return summaries()

    def forget_calls(self) -> None:
        """Forget all calls so far."""
        self.wire.calls.clear()
        self.wire.messages.clear()

    def assert_consistent(
        self, host: str, server: Mapping[str, Any], count: int
    ) -> list[str]:
        """Check that Nova and this project agree on a server's devices.

        :returns: their addresses.
        """
        expected = ('allocated', server['id'])
        held = self.held(host)
        allocated = sorted(
            address for address, state in held.items() if state == expected
        )
        others = [
            address
            for address, (_, owner) in held.items()
            if owner == server['id'] and address not in allocated
        ]
        self.assertEqual([], others, held)
        self.assertEqual(count, len(allocated), held)
        rows = self.attachment_rows(host)
        self.assertEqual(
            allocated,
            sorted(
                address for address, row in rows.items() if row == expected
            ),
            rows,
        )
        return allocated

    def assert_guest_has(
        self, host: str, server: Mapping[str, Any], count: int
    ) -> list[str]:
        """As ``assert_consistent``; the guest has exactly these devices."""
        addresses = self.assert_consistent(host, server, count)
        self.assertEqual(addresses, self.hostdevs(host, server))
        return addresses

    def assert_clean(self, *hosts: str) -> None:
        """Check that no device of PCI flavors is held on some hosts.

        Nova's API shows a server as deleted before its resources are freed,
        and sometimes the next periodic task frees them.
        """
        looks = itertools.count(1)

        def is_clean() -> bool:
            if next(looks) % 30 == 0:
                self.run_periodic_tasks()
            return not any(
                self.attachment_rows(h) or self.held(h) for h in hosts
            )

        wait_for(is_clean, f'nothing held on {hosts}')

    def run_periodic_tasks(self) -> None:
        """Run the periodic task of all computes."""
        context = nova_context.get_admin_context()
        for compute in self.computes.values():
            compute.manager.update_available_resource(context)

    # -- processes that come and go --

    def force_down(self, host: str) -> None:
        """Stop a nova-compute and tell Nova that it is down."""
        self.computes[host].stop()
        self.admin_api.put_service(
            self.computes[host].service_ref.uuid, {'forced_down': True}
        )

    def disable_host(self, host: str) -> None:
        """Disable a host for the scheduler."""
        self.admin_api.put_service(
            self.computes[host].service_ref.uuid, {'status': 'disabled'}
        )

    def restart(self, host: str) -> None:
        """Stop a nova-compute in an orderly way, and start it again."""
        self.restart_compute_service(host)

    def end_guests_of_cold_migrations(self) -> None:
        """Let a cold migration end the guest on the source.

        Nova's fixture does nothing there, because it has no disks to move.
        """

        def end(
            of_host: Any, _context: Any, instance: Any, *_args: Any
        ) -> str:
            of_host.power_off(instance)
            return '{}'

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.virt.libvirt.driver.LibvirtDriver.'
                'migrate_disk_and_power_off',
                end,
            )
        )

    def restart_after_crash(self, host: str) -> None:
        """Start a nova-compute again after a thread of it ran into ``Crash``.

        The old service gets no calls any more. Its locks, which all services
        of this process share, are dropped.
        """
        compute = self.computes[host]
        lockutils._fair_locks = lockutils.FairLocks()
        lockutils._semaphores = lockutils.Semaphores()

        def stop_listening() -> None:
            for name in ('rpcserver', 'rpcserver_alt'):
                server = getattr(compute, name, None)
                if server is not None:
                    server.stop()

        compute.stop = stop_listening
        self.restart_compute_service(host)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as a condition is true.

    :raises AssertionError: it does not become true in time.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {PATIENCE} seconds: {what}')
        time.sleep(0.05)


class Crash:
    """Stands in for a SIGKILL: the thread that calls it stops for ever.

    The thread executes nothing after the call, no ``finally`` and no
    ``__exit__``. Replace a function by it, or call it in ``Wire.before`` or
    ``Wire.after``. A test that uses it sets ``CAST_AS_CALL = False``;
    otherwise Nova's API would wait for the stopped thread.

    :ivar happened: set by the first call.
    """

    def __init__(self) -> None:
        self.happened = threading.Event()
        self._buried = threading.Event()
        self._stopped = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.happened.set()
        self._stopped += 1
        try:
            self._buried.wait()
        finally:
            self._stopped -= 1
        raise greenlet.GreenletExit

    def wait(self) -> None:
        """Wait until a thread has called it."""
        if not self.happened.wait(PATIENCE):
            raise AssertionError('no thread came to the crash')

    def bury(self) -> None:
        """End the stopped threads; Nova's fixtures wait for them."""
        self._buried.set()
        while self._stopped:
            time.sleep(0.01)


def offered(
    info: fakelibvirt.HostPCIDevicesInfo, native: int = 0, **tags: str
) -> list[objects.PciDevice]:
    """Return a fake host's devices as its agent reports them.

    :param native: number of native devices, which are not reported.
    :param tags: extra info of all devices.
    """
    fakes = sorted(info.devices.values(), key=_address)
    return [_device(fake, tags) for fake in fakes[native:]]


#: The fixture's type of a device, to dev_type and product id.
_KINDS = {
    'PCI': ('type-PCI', fakelibvirt.PCI_PROD_ID),
    'PF': ('type-PF', fakelibvirt.PF_PROD_ID),
    'VF': ('type-VF', fakelibvirt.VF_PROD_ID),
}


def _device(
    fake: fakelibvirt.FakePCIDevice, tags: Mapping[str, str]
) -> objects.PciDevice:
    dev_type, product_id = _KINDS[fake.dev_type]
    parent = fake.parent and '0000:{:02x}:{:02x}.{:x}'.format(*fake.parent)
    return objects.PciDevice(
        address=_address(fake),
        parent_addr=parent,
        dev_type=dev_type,
        vendor_id=fake.vend_id or fakelibvirt.PCI_VEND_ID,
        product_id=fake.prod_id or product_id,
        subsystem_vendor_id=None,
        subsystem_id=None,
        pci_class='020000',
        driver=None,
        numa_node=fake.numa_node,
        iommu_group=fake.iommu_group,
        devname=None,
        mac_address=None,
        link_speed=None,
        total_vfs=fake.vf_ratio if dev_type == 'type-PF' else None,
        capabilities=[],
        extra_info=dict(tags),
        offered_by=None,
    )


def _address(fake: fakelibvirt.FakePCIDevice) -> str:
    return f'0000:{fake.bus:02x}:{fake.slot:02x}.{fake.function:x}'


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute for a while."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
