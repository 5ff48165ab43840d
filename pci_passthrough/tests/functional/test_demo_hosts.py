# SPDX-License-Identifier: Apache-2.0
"""libvirt's test driver returns simulated hosts as in their models."""

import pathlib
from xml.etree import ElementTree

import fixtures
import libvirt
import testscenarios
import testtools

from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.tests.unit.demo import test_hosts

load_tests = testscenarios.load_tests_apply_scenarios


class TestDriverTestCase(testtools.TestCase):
    """Tests with each of the simulated hosts."""

    scenarios = [(host.name, {'host': host}) for host in test_hosts.HOSTS]
    host: inventory.Host

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        file = folder / 'node.xml'
        file.write_text(testdriver.node_xml(self.host))
        connection = libvirt.openReadOnly(f'test://{file}')
        self.addCleanup(connection.close)
        self.pci = self.listing(
            connection, libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV
        )
        self.net = self.listing(
            connection, libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET
        )

    def listing(
        self, connection: libvirt.virConnect, kind: int
    ) -> dict[str, ElementTree.Element]:
        return {
            device.name(): ElementTree.fromstring(device.XMLDesc())  # noqa: S314
            for device in connection.listAllDevices(kind)
        }

    def addresses(self, elements: list[ElementTree.Element]) -> list[str]:
        return [
            '{:04x}:{:02x}:{:02x}.{:x}'.format(
                *(
                    int(element.attrib[name], 0)
                    for name in ('domain', 'bus', 'slot', 'function')
                )
            )
            for element in elements
        ]

    def test_libvirt_takes_every_device(self) -> None:
        self.assertEqual(
            {testdriver.device_name(a) for a in self.host.devices},
            set(self.pci),
        )

    def test_links_between_functions(self) -> None:
        for address, device in self.host.devices.items():
            shown = self.pci[testdriver.device_name(address)]
            self.assertEqual(
                device.vfs,
                self.addresses(
                    shown.findall(
                        "capability/capability[@type='virt_functions']/address"
                    )
                ),
            )
            physical = self.addresses(
                shown.findall(
                    "capability/capability[@type='phys_function']/address"
                )
            )
            self.assertEqual(
                [device.physical_function or ()], physical or [()]
            )

    def test_ids_nodes_and_groups(self) -> None:
        groups = self.host.groups()
        for address, device in self.host.devices.items():
            shown = self.pci[testdriver.device_name(address)]
            self.assertEqual(
                [device.model.vendor_id, device.model.product_id],
                [
                    int(shown.find(f'capability/{name}').get('id'), 0)  # type: ignore[union-attr,arg-type]
                    for name in ('vendor', 'product')
                ],
            )
            numa = shown.find('capability/numa')
            group = shown.find('capability/iommuGroup')
            assert numa is not None and group is not None
            self.assertEqual(str(device.numa_node), numa.get('node'))
            self.assertEqual(str(device.iommu_group), group.get('number'))
            self.assertEqual(
                groups[device.iommu_group],
                self.addresses(group.findall('address')),
            )

    def test_interfaces(self) -> None:
        wanted = {
            device.interface.mac: testdriver.device_name(device.address)
            for device in self.host.devices.values()
            if device.interface is not None
        }
        self.assertEqual(
            wanted,
            {
                shown.findtext('capability/address'): shown.findtext('parent')
                for shown in self.net.values()
            },
        )
