# SPDX-License-Identifier: Apache-2.0
"""Simulated hosts, and the file trees made from their models."""

import pathlib

import fixtures
import testtools

from pci_passthrough.demo import hosttree
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver

HOSTS = [
    *inventory.demo_hosts(),
    # Enough functions for several buses, and enough cards for two domains.
    inventory.build_host(
        inventory.HostShape('big', nics=4, vfs=250, total_vfs=256, gpus=250)
    ),
    inventory.build_host(
        inventory.HostShape(
            'bare', nics=0, gpus=0, nvmes=0, consumer_gpus=0, numa_nodes=1
        )
    ),
]


class InventoryTestCase(testtools.TestCase):
    def test_same_shape_same_host(self) -> None:
        shape = inventory.HostShape('one')
        self.assertEqual(
            inventory.build_host(shape), inventory.build_host(shape)
        )

    def test_addresses_are_addresses(self) -> None:
        for host in HOSTS:
            for address in host.devices:
                domain, bus, slot, function = inventory.split_address(address)
                self.assertEqual(
                    address,
                    inventory.join_address(domain, bus, slot * 8 + function),
                )
                self.assertLess(bus, 256)

    def test_mac_addresses_differ(self) -> None:
        macs = [
            device.interface.mac
            for host in HOSTS
            for device in host.devices.values()
            if device.interface is not None
        ]
        self.assertEqual(len(macs), len(set(macs)))

    def test_virtual_functions_run_on_into_the_next_bus(self) -> None:
        self.assertEqual('0000:02:00.1', inventory.join_address(0, 1, 257))

    def test_only_sriov_cards_have_virtual_functions(self) -> None:
        host = inventory.build_host(inventory.HostShape('one'))
        gpu = next(d for d in host.devices.values() if d.vf_model is None)
        self.assertRaises(ValueError, host.add_vf, gpu, 0)

    def test_demo_hosts_have_what_the_demonstration_shows(self) -> None:
        devices = [
            device
            for host in inventory.demo_hosts()
            for device in host.devices.values()
        ]
        self.assertEqual({0, 1}, {device.numa_node for device in devices})
        self.assertTrue(any(device.vfs for device in devices))
        self.assertTrue(any(device.disk for device in devices))
        self.assertTrue(
            any(device.model.class_code >> 16 == 3 for device in devices)
        )


class TreeTestCase(testtools.TestCase):
    def test_files_beside_libvirt(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for host in inventory.demo_hosts():
            written = testdriver.write_host(host, folder)
            self.assertEqual(f'test://{folder}/{host.name}.xml', written.uri)
            self.check_files(host, written.host_root / 'sys/bus/pci/devices')

    def check_files(self, host: inventory.Host, devices: pathlib.Path) -> None:
        self.assertEqual(
            set(host.devices), {path.name for path in devices.iterdir()}
        )
        for address, device in host.devices.items():
            path = devices / address
            self.assertEqual(device.driver, (path / 'driver').resolve().name)
            self.assertEqual(
                f'{device.model.subsystem_id:#06x}\n',
                (path / 'subsystem_device').read_text(),
            )
            if device.total_vfs:
                self.assertEqual(
                    f'{device.total_vfs}\n',
                    (path / 'sriov_totalvfs').read_text(),
                )

    def test_writing_twice(self) -> None:
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        tree = hosttree.Tree()
        tree.file('a/b/value', 7)
        tree.folder('a/empty')
        tree.link('links/value', 'a/b/value')
        tree.write(root)
        tree.write(root)
        self.assertEqual('7\n', (root / 'links/value').read_text())
        self.assertEqual(
            pathlib.Path('../a/b/value'), (root / 'links/value').readlink()
        )
        self.assertTrue((root / 'a/empty').is_dir())

    def test_what_the_host_uses(self) -> None:
        host = inventory.build_host(
            inventory.HostShape(
                'one', management_nic=True, system_disk=True, lvm_disk=True
            )
        )
        facts = hosttree.facts_tree(host)
        for path, text in (
            ('proc/1/mountinfo', b' / / '),
            ('proc/swaps', b'/dev/nvme0n1p2'),
            (
                'run/pci-passthrough/network.json',
                b'{"destination": "default", "interfaces": ["eno1"]}',
            ),
            ('run/udev/data/b259:16', b'E:ID_FS_TYPE=LVM2_member'),
        ):
            content = facts[path]
            assert isinstance(content, bytes)
            self.assertIn(text, content)
