# SPDX-License-Identifier: Apache-2.0
"""Databases, hosts and devices for the tests of the store."""

from collections.abc import Iterable
from collections.abc import Sequence
import datetime
import itertools
import pathlib
import re
from typing import Any

import fixtures
from oslo_utils import uuidutils
import sqlalchemy as sa
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import reports
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional import servers

#: Hosts are up for the length of a test, however busy the machine is.
LIMITS = store.Limits(3600)

#: The same for agents and resource trackers.
TRACKED = store.Limits(3600, 3600)

POLICY = store.Policy(TRACKED)

SERVERS: list[tuple[str, dict[str, Any]]] = [
    ('mariadb', {'server': servers.MariaDB}),
    ('postgresql', {'server': servers.PostgreSQL}),
]
SCENARIOS = [('sqlite', {'server': None}), *SERVERS]

#: for reports, so that each is newer than all before
sequence = itertools.count(1)

new_id = uuidutils.generate_uuid
_urls: dict[type[servers.Database], str] = {}


class StoreTest(testtools.TestCase):
    """A test with an empty database that has the schema."""

    scenarios = SCENARIOS
    server: type[servers.Database] | None = None

    def setUp(self) -> None:
        super().setUp()
        self.url = self._empty_url()
        self.db = self.open()

    def open(self) -> store.Writer:
        """Open the database once more, as another process would."""
        db = store.Writer(self.url, sqlite_synchronous=False)
        self.addCleanup(db.close)
        return db

    def _empty_url(self) -> str:
        if self.server is None:
            folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
            return sqlite.create(folder / 'db')
        return empty_url(self.server)

    def report(
        self, host: str, offered: Iterable[objects.PciDevice], **changes: Any
    ) -> objects.ReportAck:
        """Apply a full report."""
        return reports.apply(self.db, full_report(host, offered, **changes))

    def claim(
        self, host: str, *requests: objects.PciRequest, **arguments: Any
    ) -> list[objects.PciDevice]:
        """Claim for a new instance, or for ``instance_uuid``."""
        owner = arguments.pop('instance_uuid', new_id())
        return claiming.claim(
            self.db,
            POLICY,
            claims.ClaimRequest(host, owner, requests, 'test', **arguments),
        )

    def make_silent(self, host: str) -> None:
        """Make a host's agent and tracker silent for longer than allowed."""
        nodes = models.compute_nodes
        long_ago = database.now() - datetime.timedelta(days=1)
        with self.db.write() as connection:
            connection.execute(
                nodes.update()
                .where(nodes.c.host == host)
                .values(
                    last_report_at=long_ago,
                    tracker_seen_at=sa.case(
                        (nodes.c.tracker_seen_at.is_not(None), long_ago),
                        else_=None,
                    ),
                )
            )

    def flavors(self) -> None:
        """Create the PCI flavors that match ``gpu`` and ``family``."""
        for name, term in FLAVORS.items():
            editing.create(self.db, name, None, match=[term])

    def states(self, host: str | None = None) -> dict[str, str]:
        """Return the state of each device by address."""
        return {d.address: d.state for d in lookup.get_all(self.db, host)}


def empty_url(server: type[servers.Database]) -> str:
    """Return the URL of the shared server's database, after emptying it."""
    if server not in _urls:
        url = servers.shared(server).create_database()
        schema.sync(store.Writer(url))
        _urls[server] = url
    # To empty tables is several times faster than to make them anew.
    db = store.Writer(_urls[server])
    with db.write() as connection:
        for table in reversed(models.Base.metadata.sorted_tables):
            connection.execute(table.delete())
    db.close()
    return _urls[server]


class ClaimTest(StoreTest):
    """A test with PCI flavors and an instance to claim for."""

    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.owner = new_id()

    def refused(
        self, host: str, *requests: objects.PciRequest, **arguments: Any
    ) -> list[tuple[str, str, int, int]]:
        """Return (PCI flavor, condition, needed, left) of the reasons."""
        error = self.assertRaises(
            exception.ClaimRefused, self.claim, host, *requests, **arguments
        )
        return [
            (r.pci_flavor, r.condition, r.needed, r.left)
            for r in error.reasons
        ]

    def free(self, *arguments: Any) -> list[objects.PciDevice]:
        """Free what the owner holds."""
        return transitions.free(self.db, self.owner, 'test', *arguments)


FLAVORS = {
    'gpu': {'vendor_id': '10de'},
    'big': {'vendor_id': '10de', 'e.size': 'big'},
    'pf': {'product_id': '1592'},
    'vf': {'product_id': '1889'},
    'nic': {'vendor_id': '8086'},
    'token': {'resource_type': 'usb'},
    'vgpu': {'resource_type': 'mdev', 'e.type': 'nvidia-558'},
}


def device(address: str, **changes: Any) -> objects.PciDevice:
    """Return a device as an agent reports it: a GPU unless changed.

    Its IOMMU group is its own.
    """
    facts: dict[str, Any] = {
        'address': address,
        'parent_addr': None,
        'dev_type': 'type-PCI',
        'vendor_id': '10de',
        'product_id': '2330',
        'resource_type': 'pci',
        'subsystem_vendor_id': None,
        'subsystem_id': None,
        'pci_class': '030200',
        'driver': 'nvidia',
        'numa_node': 0,
        'iommu_group': int(re.sub('[:.]', '', address), 16),
        'devname': None,
        'mac_address': None,
        'link_speed': None,
        'total_vfs': None,
        'capabilities': [],
        'serial_number': None,
        'vgpu_type': None,
        'extra_info': {},
        'offered_by': None,
        'refusal': None,
        'handlers': [],
        'on_failure': None,
    }
    return objects.PciDevice(**facts | changes)


def gpu(bus: int, **changes: Any) -> objects.PciDevice:
    """Return a GPU on a bus."""
    return device(f'0000:{bus:02x}:00.0', **changes)


def card(bus: int, **changes: Any) -> list[objects.PciDevice]:
    """Return a GPU and its sound function, in one IOMMU group."""
    video = gpu(bus, iommu_group=bus, **changes)
    sound = {'product_id': '22ba', 'pci_class': '040300'}
    return [
        video,
        video.replace(address=f'0000:{bus:02x}:00.1', **sound),
    ]


def create_card_flavors(db: store.Writer) -> None:
    """Create PCI flavors ``card`` and ``sound`` for the parts of a card."""
    for name, product in (('card', '2330'), ('sound', '22ba')):
        match = {'vendor_id': '10de', 'product_id': product}
        editing.create(db, name, None, match=[match])


_NIC = {'vendor_id': '8086', 'pci_class': '020000', 'driver': 'ice'}


def pf(bus: int, **changes: Any) -> objects.PciDevice:
    """Return a NIC's physical function."""
    facts = {'dev_type': 'type-PF', 'product_id': '1592'}
    return device(f'0000:{bus:02x}:00.0', **_NIC | facts | changes)


def vf(bus: int, number: int, **changes: Any) -> objects.PciDevice:
    """Return a virtual function of ``pf(bus)``."""
    slot, function = divmod(number, 8)
    facts = {
        'dev_type': 'type-VF',
        'product_id': '1889',
        'parent_addr': f'0000:{bus:02x}:00.0',
    }
    return device(
        f'0000:{bus:02x}:{slot + 1:02x}.{function}', **_NIC | facts | changes
    )


def family(bus: int, vfs: int, **changes: Any) -> list[objects.PciDevice]:
    """Return a physical function and its virtual functions."""
    return [pf(bus, **changes), *(vf(bus, i, **changes) for i in range(vfs))]


def token(port: int, **changes: Any) -> objects.PciDevice:
    """Return a USB token at a port of bus 1."""
    facts = {
        'resource_type': 'usb',
        'dev_type': None,
        'vendor_id': '1050',
        'product_id': '0407',
        'pci_class': None,
        'driver': 'usb',
        'numa_node': None,
        'iommu_group': None,
        'serial_number': f'T{port}',
    }
    return gpu(1).replace(address=f'1-{port}', **facts | changes)


def vgpu(bus: int, number: int, **changes: Any) -> objects.PciDevice:
    """Return a mediated device of ``gpu(bus)``."""
    facts = {
        'resource_type': 'mdev',
        'dev_type': None,
        'iommu_group': None,
        'extra_info': {'type': 'nvidia-558'},
    }
    parent = gpu(bus)
    return parent.replace(
        address=f'00000000-0000-5000-8000-{bus:06x}{number:06x}',
        parent_addr=parent.address,
        **facts | changes,
    )


def full_report(
    host: str,
    offered: Iterable[objects.PciDevice],
    withdrawn: Iterable[str] = (),
    **changes: Any,
) -> objects.HostReport:
    """Return a full report, newer than all before."""
    number = next(sequence)
    header = {
        'host': host,
        'agent_version': '1',
        'sequence': number,
        'digest': f'digest {number}',
        'is_full': True,
        'base_generation': 0,
        'gone': [],
        'refused': [],
        'withdrawn_hardware': {},
    }
    return objects.HostReport(
        offered=list(offered), withdrawn=list(withdrawn), **header | changes
    )


def request(
    *names: str, count: int = 1, request_id: str | None = None
) -> objects.PciRequest:
    """Return a request; several names are alternatives."""
    return objects.PciRequest(
        request_id=request_id or new_id(),
        count=count,
        pci_flavors=list(names),
        numa_policy=None,
    )


def nic_request(
    name: str,
    vnic_type: str | None = None,
    physical_networks: Iterable[str] = (),
) -> objects.PciRequest:
    """Return a request for a NIC; without networks, on an overlay one."""
    return request(name).replace(
        nic=objects.RequestedNic(
            vnic_type=vnic_type, physical_networks=list(physical_networks)
        )
    )


def addresses(devices: Sequence[objects.PciDevice]) -> list[str]:
    """Return the addresses of devices, sorted."""
    return sorted(device.address for device in devices)
