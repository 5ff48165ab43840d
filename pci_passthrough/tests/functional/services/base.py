# SPDX-License-Identifier: Apache-2.0
"""A small cloud for each test: a database, a broker, hosts, programs."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import datetime
import functools
import json
import pathlib
from typing import Any
import uuid

import fixtures
import kombu
from oslo_log import log as logging
import sqlalchemy as sa
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import rpc
from pci_passthrough import specs
from pci_passthrough import store
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.rpc import messaging
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.lab import simulated_host

#: Offers all devices of a simulated host, with a tag. The boot VGA device is
#: offered because the entry names its vendor.
PCI_INFORMATION = (
    '{"match": {"vendor_id": ["10de", "144d", "15b3", "8086"]}, '
    '"extra_info": {"group": "all"}}',
)

_nodes = models.compute_nodes
_events = models.pci_device_events


class ServicesTestCase(testtools.TestCase):
    """Base: a database with two PCI flavors and no host, and an empty queue.

    :cvar BROKER: which of the shared brokers; a test that kills it has a
        class of its own for that.
    :cvar DATABASE: which of the shared database servers, likewise.
    """

    BROKER: type[servers.RabbitMQ] = servers.RabbitMQ
    DATABASE: type[servers.Database] = servers.MariaDB

    #: further lines of the configuration files of conductors
    conductor_config: Sequence[str] = ()

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=20))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.broker = servers.shared(self.BROKER)
        self.database_server = servers.shared(self.DATABASE)
        self._empty_queue()
        self.database_url = self.database_server.create_database()
        self.db = store.Writer(self.database_url)
        self.addCleanup(self.db.close)
        schema.sync(self.db)
        editing.create(self.db, 'any', None, match=[{'e.group': 'all'}])
        editing.create(self.db, 'gpu', None, match=[{'class': 'display'}])

    def _empty_queue(self) -> None:
        # What an agent of another test said last must not reach us.
        with self._channel() as channel:
            channel.queue_delete(messaging.CONDUCTOR_TOPIC)

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        url = self.broker.url.replace('rabbit', 'amqp', 1)
        with kombu.Connection(url) as connection:
            yield connection.default_channel

    def unread_calls(self) -> int:
        """Return how many calls wait for a conductor to start."""
        with self._channel() as channel:
            queue = channel.queue_declare(
                messaging.CONDUCTOR_TOPIC, passive=True
            )
            return int(queue.message_count)

    def start_conductor(
        self, name: str = 'controller', ready: bool = True, **options: Any
    ) -> programs.Program:
        """Start ``pci-passthrough-conductor``."""
        return self._conductor(
            ['pci-passthrough-conductor'], name, ready, options
        )

    def start_odd_conductor(self, oddity: str) -> programs.Program:
        """Start a conductor of another release, or with a defect."""
        module = f'{__package__}.odd_conductor'
        return self._conductor([module, oddity], oddity, True, {})

    def _conductor(
        self,
        command: list[str],
        name: str,
        ready: bool,
        options: Mapping[str, Any],
    ) -> programs.Program:
        config = self.write_config(
            name,
            'conductor',
            {'host_timeout': 3600, **options},
            (
                '[database]',
                f'connection = {self.database_url}',
                *self.conductor_config,
            ),
        )
        program = self.useFixture(programs.Program(command, config))
        if ready:
            program.wait_for_log('is ready')
        return program

    def start_agent(
        self,
        host: testdriver.DemoHost | simulated_host.SimulatedHost,
        pci_information: tuple[str, ...] = PCI_INFORMATION,
        **options: Any,
    ) -> programs.Program:
        """Start ``pci-passthrough-agent`` for a host.

        It waits for an answer until the test would give up: a report that is
        repeated would be one that a test does not expect. Where a conductor
        dies before it answers, ``rpc_timeout`` has to be shorter.
        """
        config = self.write_config(
            _name(host),
            'agent',
            {
                'connection_uri': host.uri,
                'host_root': host.host_root,
                'verdict_dir': self.folder / 'verdicts',
                'report_interval': 1,
                'rpc_timeout': programs.PATIENCE,
                'max_backoff': 2,
                'default_handlers': False,
                **options,
            },
            [f'pci_information = {entry}' for entry in pci_information],
        )
        return self.useFixture(
            programs.Program(['pci-passthrough-agent'], config)
        )

    def write_config(
        self,
        name: str,
        group: str,
        options: Mapping[str, Any],
        further: Any = (),
    ) -> pathlib.Path:
        """Write a configuration file."""
        config = self.folder / f'{name}.conf'
        lines = [
            '[DEFAULT]',
            f'host = {name}',
            f'transport_url = {self.broker.url}',
            f'[{group}]',
            *(f'{option} = {value}' for option, value in options.items()),
            *further,
        ]
        config.write_text('\n'.join(lines) + '\n')
        return config

    def write_host(self, name: str, **shape: Any) -> testdriver.DemoHost:
        """Make up a host for libvirt's test driver."""
        return testdriver.write_host(
            inventory.build_host(inventory.HostShape(name, **shape)),
            self.folder,
        )

    def simulate_host(
        self, name: str, **shape: Any
    ) -> simulated_host.SimulatedHost:
        """Start a host with a libvirtd of its own."""
        return self.useFixture(
            simulated_host.SimulatedHost(inventory.HostShape(name, **shape))
        )

    def client(
        self, timeout: float = programs.PATIENCE
    ) -> rpc.ConductorClient:
        """Return a client, as Nova has one."""
        return rpc.ConductorClient(self._transport, timeout)

    @functools.cached_property
    def _transport(self) -> Any:
        config = self.write_config('client', 'agent', {})
        conf = conf_module.load([f'--config-file={config}'], 'test')
        logging.set_defaults()
        transport = rpc.get_transport(conf)
        self.addCleanup(transport.cleanup)
        return transport

    def node(self, host: str) -> Any:
        """Return a host's row, None before its first report."""
        with self.db.read() as connection:
            return connection.execute(
                sa.select(_nodes).where(_nodes.c.host == host)
            ).one_or_none()

    def generation(self, host: str) -> int:
        """Return a host's generation, 0 before its first report."""
        node = self.node(host)
        return int(node.generation) if node else 0

    def devices(self, host: str) -> dict[str, objects.PciDevice]:
        """Return a host's devices by address."""
        return {d.address: d for d in lookup.get_all(self.db, host=host)}

    def states(self, host: str) -> dict[str, str]:
        """Return the states of a host's devices by address."""
        return {a: d.state for a, d in self.devices(host).items()}

    def wait_for_report(self, host: str, generation: int = 1) -> None:
        """Return when a report of a host has come."""
        programs.wait_for(
            lambda: self.generation(host) >= generation,
            f'generation {generation} of {host}',
        )

    def wait_for_sign_of_life(self, host: str) -> None:
        """Return when a host has given one."""
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        programs.wait_for(
            lambda: self.node(host).last_report_at > now,
            f'a sign of life of {host}',
        )

    @contextlib.contextmanager
    def locked(self, table: sa.Table) -> Iterator[None]:
        """Let nobody else write to the rows of a table for a while."""
        with self.db.write() as connection:
            connection.execute(
                table.update().values({table.c.id: table.c.id + 0})
            )
            yield

    def wait_for_blocked(self) -> None:
        """Return when somebody waits for what ``locked`` has locked."""
        statement = sa.text(
            'SELECT COUNT(*) FROM information_schema.innodb_trx '
            "WHERE trx_state = 'LOCK WAIT'"
        )

        def is_blocked() -> bool:
            with self.database_server.connect() as connection:
                return bool(connection.execute(statement).scalar_one())

        # MariaDB fills that table anew only if nobody has read it for a
        # tenth of a second.
        programs.wait_for(
            is_blocked, 'a transaction that waits for a lock', pause=0.15
        )

    def look(
        self,
        host: testdriver.DemoHost | simulated_host.SimulatedHost,
        pci_information: tuple[str, ...] = PCI_INFORMATION,
    ) -> reporting.Snapshot:
        """Return what an agent would see there now."""
        libvirt = libvirt_host.LibvirtHost(host.uri)
        libvirt.connect()
        try:
            result = scan.scan(
                libvirt.list_node_devices(),
                sysfs_reader.SysfsReader(str(host.host_root)),
                specs.PciInformation.parse(pci_information),
            )
        finally:
            libvirt.close()
        return reporting.Snapshot.of(
            [offer.device for offer in result.offered],
            result.others,
            [refused.device for refused in result.refused],
        )

    def check_consistent(
        self, *hosts: testdriver.DemoHost | simulated_host.SimulatedHost
    ) -> None:
        """Check the ledger, owners, and that agents and database agree."""
        for device in lookup.get_all(self.db):
            self.assertEqual(
                device.status in ('claimed', 'allocated'),
                device.instance_uuid is not None,
            )
        self._check_ledger()
        for host in hosts:
            seen = self.look(host)
            self._wait_for_full_report(_name(host))
            self.assertEqual(self.node(_name(host)).digest, seen.digest)
            known = self.devices(_name(host))
            self.assertEqual(
                set(seen.offered),
                {a for a, d in known.items() if d.presence == 'offered'},
            )
            for address, device in seen.offered.items():
                for name in device.lasting():
                    self.assertEqual(
                        getattr(device, name),
                        getattr(known[address], name),
                        f'{name} of {address}',
                    )

    def _wait_for_full_report(self, host: str) -> None:
        """Return when no full report is due; one is after ``free``."""
        programs.wait_for(
            lambda: bool(self.node(host).digest),
            f'the report of {host} that was asked for',
        )

    def _check_ledger(self) -> None:
        """Replay the ledger: it must lead to what is there."""
        replayed: dict[str, str] = {}
        with self.db.read() as connection:
            for event in connection.execute(
                sa.select(_events).order_by(_events.c.id)
            ):
                self.assertEqual(
                    replayed.pop(event.device_uuid, None), event.from_state
                )
                if event.to_state is not None:
                    replayed[event.device_uuid] = event.to_state
        self.assertEqual(
            {d.uuid: d.state for d in lookup.get_all(self.db)}, replayed
        )

    def claim_in_database(self, host: str, pci_flavor: str) -> str:
        """Claim and allocate without a conductor; return the instance."""
        instance = str(uuid.uuid4())
        policy = store.Policy(store.Limits(3600))
        claiming.claim(
            self.db,
            policy,
            claims.ClaimRequest(
                host, instance, [request(1, pci_flavor)], 'test'
            ),
        )
        transitions.allocate(self.db, host, instance, 'test')
        return instance


def request(count: int, pci_flavor: str = 'any') -> objects.PciRequest:
    """Return a request for devices."""
    return objects.PciRequest(
        request_id='the-request',
        count=count,
        pci_flavors=[pci_flavor],
        numa_policy=None,
    )


def entry(match: Mapping[str, Any], **extra_info: str) -> str:
    """Return an entry of pci_information."""
    return json.dumps({'match': dict(match), 'extra_info': extra_info})


def _name(host: testdriver.DemoHost | simulated_host.SimulatedHost) -> str:
    if isinstance(host, testdriver.DemoHost):
        return host.name
    return host.host.name
