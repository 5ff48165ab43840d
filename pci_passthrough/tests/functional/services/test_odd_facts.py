# SPDX-License-Identifier: Apache-2.0
"""Odd facts of one device, through agent and conductor together."""

import itertools
import pathlib
from typing import Any
from xml.etree import ElementTree

import fixtures
import hypothesis
from hypothesis import strategies
import libvirt
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.specs import pci_information
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.cases import files
from pci_passthrough.tests.functional.services import wire
from pci_passthrough.tests.unit.discovery import host_tree
from pci_passthrough.tests.unit.rpc import driver

_SAMPLES = pathlib.Path(__file__).parents[2] / 'unit' / 'discovery' / 'samples'

#: A physical function with its interface, a virtual function with its own,
#: and a plain function.
_DOCUMENTS = {
    path.stem: path.read_text()
    for path in sorted(_SAMPLES.glob('*.xml'))
    if path.stem
    in (
        'net_ens2',
        'net_ens2v0',
        'pci_0000_61_00_0',
        'pci_0000_61_10_0',
        'pci_0000_62_00_0',
    )
}

_ENTRIES = pci_information.PciInformation.parse(
    ['{"match": {"vendor_id": "*"}, "extra_info": {"group": "a"}}']
)


def _elements(document: str) -> list[ElementTree.Element]:
    """Return the elements of a document, the root first."""
    return list(ElementTree.fromstring(document).iter())  # noqa: S314


#: A place in a document: its name, the number of an element in it, and the
#: attribute, or None for the text.
_PLACES = [
    (name, number, attribute)
    for name, document in _DOCUMENTS.items()
    for number, element in enumerate(_elements(document))
    for attribute in (None, *element.attrib)
]

_ODD_TEXTS = strategies.sampled_from(
    [
        '', '-1', '0', '0x1ffff', '4294967295', '9' * 30, 'x' * 70,
        'x' * 70_000, ':'.join(['80'] * 20), 'a\x00b', 'a\nb', '\x1b[31m',
        '\ufffe', '\u202e', '٣', '½', 'NaN', '<!--', "'; DROP TABLE x; --",
    ]
) | strategies.text(max_size=40)  # fmt: skip


def _replace(document: str, number: int, attribute: Any, text: str) -> str:
    """Return a document with another text at a place, well-formed or not."""
    elements = _elements(document)
    element = elements[number]
    if attribute is None:
        element.text = text
    else:
        element.set(attribute, text)
    return ElementTree.tostring(elements[0], encoding='unicode')


def _snapshot(result: scan.Scan) -> reporting.Snapshot:
    return reporting.Snapshot.of(
        [offered.device for offered in result.offered],
        result.left_out,
        [refused.device for refused in result.refused],
    )


class _NodeDevice:
    """A node device of libvirt.

    :param description: its XML, or libvirt's error.
    """

    def __init__(self, description: bytes | libvirt.libvirtError) -> None:
        self._description = description

    def name(self) -> str:
        return 'pci_0000_62_00_0'

    def XMLDesc(self, _flags: int) -> str:
        if isinstance(self._description, libvirt.libvirtError):
            raise self._description
        # As the binding in C does.
        return self._description.decode()


class _Connection:
    """A connection to libvirt with some node devices."""

    def __init__(
        self,
        *descriptions: bytes | libvirt.libvirtError,
        is_alive: bool = True,
    ) -> None:
        self._devices = list(map(_NodeDevice, descriptions))
        self._is_alive = is_alive

    def listAllDevices(self, _flags: int) -> list[_NodeDevice]:
        return self._devices

    def nodeDeviceLookupByName(self, _name: str) -> _NodeDevice:
        return self._devices[-1]

    def isAlive(self) -> bool:
        return self._is_alive


class ListingTest(testtools.TestCase):
    """One bad device costs one device, also in libvirt."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.host = libvirt_host.LibvirtHost('test:///default')

    def test_not_utf8(self) -> None:
        """It costs one fact."""
        document = _DOCUMENTS['pci_0000_62_00_0']
        odd = document.replace('<driver>', '<driver>?').encode()
        self.host._connection = _Connection(odd.replace(b'?', b'\xff'))
        [listed] = self.host.list_node_devices()
        self.assertEqual(odd.decode().replace('?', '\ufffd'), listed)

    def test_not_described(self) -> None:
        good = _DOCUMENTS['pci_0000_61_00_0'].encode()
        error = libvirt.libvirtError('no VPD: input/output error')
        self.host._connection = _Connection(good, error)
        result = scan.scan(self.host.list_node_devices(), None, _ENTRIES)
        [offered] = result.offered
        self.assertEqual('0000:61:00.0', offered.device.address)
        self.assertEqual(['0000:62:00.0'], list(result.unusable))
        self.assertIn('input/output', result.unusable['0000:62:00.0'])

    def test_connection_broke(self) -> None:
        """No device is gone because libvirtd is."""
        good = _DOCUMENTS['pci_0000_61_00_0'].encode()
        error = libvirt.libvirtError('end of file')
        self.host._connection = _Connection(good, error, is_alive=False)
        self.assertRaises(
            exception.LibvirtUnavailable, self.host.list_node_devices
        )


class OddFactsTest(testtools.TestCase):
    """One bad fact costs one fact, one bad device costs one device."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.conductor = wire.Endpoint(pathlib.Path(self.folder))
        self.addCleanup(self.conductor.db.close)
        self.client, _ = driver.client(self.conductor.answer)
        self._numbers = itertools.count(1)

    @hypothesis.settings(
        suppress_health_check=[hypothesis.HealthCheck.differing_executors]
    )
    @hypothesis.given(
        strategies.lists(
            strategies.tuples(strategies.sampled_from(_PLACES), _ODD_TEXTS),
            min_size=1,
            max_size=3,
        )
    )
    def test_the_others_are_recorded(self, changes: list[Any]) -> None:
        documents = dict(_DOCUMENTS)
        for (name, number, attribute), text in changes:
            documents[name] = _replace(
                _DOCUMENTS[name], number, attribute, text
            )
        result = scan.scan(documents.values(), None, _ENTRIES)
        recorded = self.report(result)
        changed = {name for (name, *_), _ in changes}
        for name in _DOCUMENTS.keys() - changed:
            if name.startswith('pci_'):
                _, domain, bus, slot, function = name.split('_')
                self.assertIn(f'{domain}:{bus}:{slot}.{function}', recorded)

    def test_infiniband(self) -> None:
        """IPoIB has hardware addresses of 20 bytes."""
        self.useFixture(fixtures.FakeLogger())
        host = libvirt_host.LibvirtHost(files.uri('c01_infiniband'))
        self.addCleanup(host.close)
        host.connect()
        result = scan.scan(host.list_node_devices(), None, _ENTRIES)
        dropped = {
            item.device.address: list(item.dropped) for item in result.offered
        }
        self.assertEqual(
            {
                '0000:01:00.0': ['mac_address'],
                '0000:01:00.1': ['mac_address'],
                '0000:01:00.2': ['mac_address'],
                '0000:02:00.0': [],
            },
            dropped,
        )
        recorded = self.report(result)
        self.assertEqual(dropped.keys(), recorded.keys())
        self.assertEqual('ibp1s0', recorded['0000:01:00.0'].devname)

    def test_device_that_cannot_be_described_is_withdrawn(self) -> None:
        """It is not missing: libvirt lists it."""
        entries = pci_information.PciInformation.parse(
            [
                '{"match": {"product_id": "1111"}, '
                '"extra_info": {"group": "10g"}}'
            ]
        )
        whole = _DOCUMENTS['pci_0000_62_00_0']
        for sequence, document, presence in (
            (1, whole, 'offered'),
            (2, whole.replace("<vendor id='0x1234'/>", ''), 'withdrawn'),
            (3, '', 'missing'),
            (4, whole[:-20], 'withdrawn'),
            (5, whole, 'offered'),
        ):
            result = scan.scan([document], None, entries)
            self.client.report(
                _snapshot(result).full_report(
                    host=wire.HOST, agent_version='1', sequence=sequence
                )
            )
            if sequence == 1:
                self.claim()
            [device] = lookup.get_all(self.conductor.db)
            self.assertEqual(
                (presence, 'claimed', None),
                (device.presence, device.status, device.conflict),
            )

    def test_reason_is_visible_at_the_centre(self) -> None:
        """sysfs tells which device it is that libvirt cannot describe."""
        entries = pci_information.PciInformation.parse(
            ['{"match": {"vendor_id": "1234"}, "extra_info": {"group": "a"}}']
        )
        tree = self.useFixture(host_tree.HostTree())
        folder = tree.device('0000:62:00.0')
        for name, value in (
            ('vendor', '0x1234'),
            ('device', '0x1111'),
            ('class', '0x038000'),
            ('numa_node', '-1'),
        ):
            tree.write(f'{folder}/{name}', value)
        tree.link('sys/bus/pci/devices/0000:62:00.0', folder)
        tree.link(f'{folder}/iommu_group', 'sys/kernel/iommu_groups/17')
        reader = sysfs_reader.SysfsReader(str(tree.root))
        whole = _DOCUMENTS['pci_0000_62_00_0']
        reasons = []
        for sequence, document, state in (
            (1, whole[:-20], 'refused'),
            (2, whole, 'available'),
            (3, whole.replace("<vendor id='0x1234'/>", ''), 'refused'),
        ):
            result = scan.scan([document], reader, entries)
            self.client.report(
                _snapshot(result).full_report(
                    host=wire.HOST, agent_version='1', sequence=sequence
                )
            )
            [device] = lookup.get_all(self.conductor.db)
            self.assertEqual(
                (state, '1234', '1111'),
                (device.state, device.vendor_id, device.product_id),
            )
            self.assertEqual({}, result.unusable)
            reasons.append(str(device.refusal))
        malformed, _, incomplete = reasons
        self.assertIn("libvirt's description is unusable: malf", malformed)
        self.assertIn('it has no vendor id', incomplete)
        last = ledger.history(self.conductor.db, device.uuid)[-1]
        self.assertEqual(('refuse', incomplete), (last.action, last.reason))
        # No entry matches it, so that it is nobody's business.
        none = pci_information.PciInformation.parse(
            ['{"match": {"vendor_id": "10de"}, "extra_info": {}}']
        )
        result = scan.scan([whole[:-20]], reader, none)
        self.assertEqual(
            (['0000:62:00.0'], []), ([*result.others], result.refused)
        )

    def claim(self) -> None:
        request = objects.PciRequest(
            request_id='a', count=1, pci_flavors=['10g'], numa_policy=None
        )
        self.client.claim(
            claims.ClaimRequest(wire.HOST, wire.INSTANCE, [request], 'nova')
        )

    def report(self, result: scan.Scan) -> dict[str, objects.PciDevice]:
        """Report a scan of a new host, and give a sign of life.

        :returns: the offered devices that the conductor recorded.
        """
        host = f'compute-{next(self._numbers)}'
        snapshot = _snapshot(result)
        header = {'host': host, 'agent_version': '1', 'sequence': 1}
        nothing = objects.report.Wanted.NOTHING
        ack = self.client.report(snapshot.full_report(**header))
        self.assertEqual(nothing, ack.wanted)
        ack = self.client.heartbeat(host, ack.generation, snapshot.digest)
        self.assertEqual(nothing, ack.wanted)
        recorded = {
            device.address: device
            for device in lookup.get_all(self.conductor.db, host)
            if device.presence == 'offered'
        }
        # What a dry run shows is what the conductor takes.
        shown = {item.device.address: item.device for item in result.offered}
        self.assertEqual(shown.keys(), recorded.keys())
        for address, device in shown.items():
            self.assertEqual(
                device.reported(), recorded[address].reported(), address
            )
        return recorded
