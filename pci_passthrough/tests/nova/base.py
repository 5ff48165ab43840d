# SPDX-License-Identifier: Apache-2.0
"""A cloud of Nova's services with this project's door, store and conductor.

Nova's API, scheduler, conductor and computes are real, libvirt, Neutron and
Glance are Nova's own fixtures. The conductor of this project is real, too,
on a database of its own.
"""

from collections.abc import Callable
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

from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.services import conductor
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.views import refusals
from pci_passthrough.tests.nova import wire

FILTER = 'pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter'
WEIGHER = 'pci_passthrough.nova_plugin.weigher.PciFlavorWeigher'

#: What ``NovaTest.start_host`` makes: a device without SR-IOV.
GPU = {'product_id': fakelibvirt.PCI_PROD_ID}

#: The bus of a host's devices; hosts may differ.
BUS = 0x81

_PASTE_FILTER = """
[filter:pci_flavor]
paste.filter_factory = pci_passthrough.nova_plugin.middleware:factory
"""

_sequence = itertools.count(1)


class _Files:
    """What is the same for all tests of a process, made once."""

    database: bytes | None = None


class NovaTest(test_pci_sriov_servers._PCIServersWithMigrationTestBase):
    """A test with a cloud; ``start_host`` adds compute hosts.

    The device at slot 0 of each host is Nova's, by ``[pci] device_spec`` and
    the alias ``native``; the others are this project's.

    :ivar db: this project's database.
    :ivar pci_conductor: a client of this project's conductor; Nova's own
        is ``conductor``.
    :ivar wire: between all clients and the conductor.
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

    #: Extended by Nova's own base class.
    ADDITIONAL_FILTERS = [
        'PciFlavorFilter',
        'NUMATopologyFilter',
        'PciPassthroughFilter',
    ]

    #: ``[conductor]`` of this project's configuration.
    POLICY = store.Policy(store.Limits(600, 180))

    def setUp(self) -> None:
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.db = self._open_database()
        self.endpoint = conductor.ConductorEndpoint(self.db, self.POLICY)
        self.wire = wire.Wire(self.endpoint)
        # Nova's base class deletes all attributes when a test ends.
        self.addCleanup(self.assertEqual, [], self.wire.failures)
        self.pci_conductor = self.wire.client()
        of_nova = self.wire.client()
        client.replace(of_nova)
        self.addCleanup(of_nova.close)
        self.addCleanup(client.replace, None)
        self.install_door()
        self.flags(api_paste_config=self._paste_file(), group='wsgi')
        self.flags(
            available_filters=['nova.scheduler.filters.all_filters', FILTER],
            weight_classes=['nova.scheduler.weights.all_weighers', WEIGHER],
            group='filter_scheduler',
        )
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

    def install_door(self) -> None:
        """Put the door into all of Nova's processes, which here are one."""
        bootstrap.install()
        self.addCleanup(bootstrap.uninstall)

    def _open_database(self) -> store.Writer:
        path = self.folder / 'pci.sqlite'
        if _Files.database is None:
            db = store.Writer(f'sqlite:///{path}')
            schema.sync(db)
            # Closing the last connection ends the write-ahead log, too.
            db.close()
            _Files.database = path.read_bytes()
        path.write_bytes(_Files.database)
        db = store.Writer(f'sqlite:///{path}')
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
        **tags: str,
    ) -> None:
        """Start a compute host whose agent has reported.

        :param gpus: number of this project's devices without SR-IOV, from
            slot ``native`` on.
        :param native: number of Nova's own, from slot 0 on.
        :param numa_node: of all; None: even slots on 0, odd ones on 1.
        :param info: all devices, instead of those.
        :param tags: extra info of this project's devices.
        """
        info = info or fakelibvirt.HostPCIDevicesInfo(
            num_pci=native + gpus,
            num_pfs=0,
            num_vfs=0,
            bus=bus,
            numa_node=numa_node,
        )
        # As at the start of a real host: the agent is quick, nova-compute
        # registers its tracker then.
        self.report(name, offered(info, native, **tags))
        self.start_compute(hostname=name, pci_info=info)

    def report(
        self, host: str, found: list[objects.PciDevice], **changes: Any
    ) -> None:
        """Report all devices of a host, as its agent does at start.

        :param found: what the host offers; no more and no less.
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
            'offered': found,
            'withdrawn': [],
            'gone': [],
        }
        self.pci_conductor.report(objects.HostReport(**fields | changes))

    def silence(self, host: str, *, agent: bool, tracker: bool) -> None:
        """Let it be long ago that a host's agent or tracker was heard of."""
        nodes = models.compute_nodes
        ago = database.now() - datetime.timedelta(days=1)
        silent = {'last_report_at': agent, 'tracker_seen_at': tracker}
        with self.db.write() as connection:
            connection.execute(
                nodes.update()
                .where(nodes.c.host == host)
                .values({name: ago for name, is_it in silent.items() if is_it})
            )

    # -- flavors --

    def create_pci_flavor(
        self,
        name: str,
        match: list[dict[str, str]] | dict[str, str] | None = None,
        project_id: str | None = None,
        **values: Any,
    ) -> objects.PciFlavor:
        """Create a PCI flavor; it matches GPUs unless told otherwise."""
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
        """Create a server and wait until it is there.

        :param requests: for a Nova flavor of its own, unless there is a
            ``flavor_id`` among the arguments of ``_create_server``.
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
        self, count: int, flavor_id: str, state: str = 'ACTIVE'
    ) -> list[dict[str, Any]]:
        """Create servers by one request; wait for all of them."""
        body = self._build_server(flavor_id=flavor_id, networks='none')
        body |= {'min_count': count, 'max_count': count}
        body['return_reservation_id'] = True
        answer = self.api.api_post('/servers', {'server': body}).body
        found = self.api.get_servers(
            search_opts={'reservation_id': answer['reservation_id']}
        )
        return [self._wait_for_state_change(one, state) for one in found]

    def refused(self, call: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """Return status and text of an error of Nova's API."""
        error = self.assertRaises(
            api_client.OpenStackApiException, call, *args, **kw
        )
        return error.response.status_code, str(error)

    def host_of(self, server: Mapping[str, Any]) -> str:
        """Return the host which a server is on."""
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
        found = nova_objects.PciDeviceList.get_by_compute_node(
            context, node.id
        )
        return {d.address: (d.status, d.instance_uuid) for d in found}

    def door_rows(self, host: str) -> dict[str, tuple[str, str | None]]:
        """Return those of Nova's rows which are for devices of ours."""
        ours = {d.address for d in lookup.get_all(self.db, host)}
        return {a: row for a, row in self.rows(host).items() if a in ours}

    def held(self, host: str) -> dict[str, tuple[str, str | None]]:
        """Return what is held by this project's database: as ``rows``."""
        return {
            device.address: (device.status, device.instance_uuid)
            for device in lookup.get_all(self.db, host)
            if device.instance_uuid is not None
        }

    def hostdevs(self, host: str, server: Mapping[str, Any]) -> list[str]:
        """Return the addresses of a guest's ``<hostdev>`` elements."""
        guest = self.computes[host].driver._host.get_guest(
            self.instance(server)
        )
        found = etree.fromstring(guest.get_xml_desc()).findall(
            './devices/hostdev/source/address'
        )
        parts = ('domain', 'bus', 'slot', 'function')
        return sorted(
            '{:04x}:{:02x}:{:02x}.{:x}'.format(
                *(int(one.get(part), 16) for part in parts)
            )
            for one in found
        )

    def scheduler_offers(self) -> list[Mapping[str, Any]]:
        """Return the arguments of the scheduler's questions so far.

        nova-compute asks for its own host, whether it is registered or not.
        """
        return [
            arguments
            for method, arguments in self.wire.messages
            if method == 'offer' and arguments['tracked_only']
        ]

    def refusals_of(self, server: Mapping[str, Any]) -> list[str]:
        """Return what the scheduler said of a server, the latest last.

        Its messages are waited for, since it does not wait for them itself.
        """
        for _ in range(100):
            found = refusals.get_all(
                self.db, self.POLICY.refusals_kept, server['id']
            )
            if found:
                return [str(one.summary) for one in found]
            time.sleep(0.1)
        raise AssertionError(f'nothing was said of {server["id"]}')

    def forget_calls(self) -> None:
        """Forget what was called so far."""
        self.wire.calls.clear()
        self.wire.messages.clear()

    def assert_consistent(
        self, host: str, server: Mapping[str, Any], count: int
    ) -> list[str]:
        """A server's devices are the same in Nova and here; return them."""
        expected = ('allocated', server['id'])
        held = self.held(host)
        ours = sorted(a for a, state in held.items() if state == expected)
        others = [
            a
            for a, (_, owner) in held.items()
            if owner == server['id'] and a not in ours
        ]
        self.assertEqual([], others, held)
        self.assertEqual(count, len(ours), held)
        rows = self.door_rows(host)
        self.assertEqual(
            ours, sorted(a for a, row in rows.items() if row == expected), rows
        )
        return ours

    def assert_guest_has(
        self, host: str, server: Mapping[str, Any], count: int
    ) -> list[str]:
        """As ``assert_consistent``, and the guest has them and no others."""
        ours = self.assert_consistent(host, server, count)
        self.assertEqual(ours, self.hostdevs(host, server))
        return ours

    def assert_clean(self, *hosts: str) -> None:
        """Nothing of ours is held on some hosts, in no view.

        Nova's API says that a server is deleted before its resources are
        given back, and in some cases the next periodic task gives them back.
        """
        for _ in range(15):
            if not any(self.door_rows(h) or self.held(h) for h in hosts):
                return
            time.sleep(0.1)
        self.run_periodic_tasks()
        for host in hosts:
            self.assertEqual({}, self.door_rows(host))
            self.assertEqual({}, self.held(host))

    def run_periodic_tasks(self) -> None:
        """Let all computes update their resources."""
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
        """Let the scheduler pass over a host."""
        self.admin_api.put_service(
            self.computes[host].service_ref.uuid, {'status': 'disabled'}
        )

    def restart(self, host: str) -> None:
        """Restart a nova-compute that ended in an orderly way."""
        self.restart_compute_service(host)

    def restart_after_crash(self, host: str) -> None:
        """Start a nova-compute again of which a thread is in ``Crash``.

        The one that crashed takes no calls any more, and its locks, which
        in this process are everybody's, are gone with it.
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


class Crash:
    """An end of a process as by SIGKILL: the thread which calls it stops.

    Nothing after the call is executed, no ``finally`` and no ``__exit__``.
    Put it in the place of a function, or call it in ``Wire.before`` or
    ``Wire.after``. A test which uses it sets ``CAST_AS_CALL = False``; else
    Nova's API would wait for the thread that stopped.

    :ivar happened: set as soon as somebody called it.
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
        """Return when it happened."""
        if not self.happened.wait(30):
            raise AssertionError('it did not come to the crash')

    def bury(self) -> None:
        """End the threads that stopped, for Nova's fixtures wait for them."""
        self._buried.set()
        while self._stopped:
            time.sleep(0.01)


def offered(
    info: fakelibvirt.HostPCIDevicesInfo, native: int = 0, **tags: str
) -> list[objects.PciDevice]:
    """Return a fake host's devices as its agent reports them.

    :param native: how many are Nova's own, and not reported.
    :param tags: extra info of all of them.
    """
    found = sorted(info.devices.values(), key=_address)
    return [_device(one, tags) for one in found[native:]]


#: dev_type, product and the host's driver, by the fixture's word.
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
