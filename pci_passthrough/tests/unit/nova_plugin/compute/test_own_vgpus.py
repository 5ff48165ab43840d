# SPDX-License-Identifier: Apache-2.0
"""Tests of finding the GPUs of which Nova makes mediated devices."""

from collections.abc import Mapping
import pathlib

import fixtures
from oslo_config import cfg
import testtools

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import own_vgpus

GPU = '0000:c1:00.0'
OTHER = '0000:c2:00.0'


class OwnVgpusTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for address in (GPU, OTHER):
            self.folder(address).mkdir(parents=True)
        (self.folder(GPU) / 'mdev_supported_types' / 'a').mkdir(parents=True)

    def folder(self, address: str) -> pathlib.Path:
        """Return a device's directory in sysfs."""
        return self.root / 'sys/bus/pci/devices' / address

    def vgpus(self, types: Mapping[str, list[str]]) -> own_vgpus.OwnVgpus:
        """Return what Nova has with some types and their addresses."""
        conf = cfg.ConfigOpts()
        addresses = cfg.ListOpt('device_addresses', default=[])
        conf.register_opt(
            cfg.ListOpt('enabled_mdev_types', default=[]), group='devices'
        )
        conf([])
        conf.set_override('enabled_mdev_types', list(types), 'devices')
        for mdev_type, values in types.items():
            conf.register_opt(addresses, group=f'mdev_{mdev_type}')
            conf.set_override('device_addresses', values, f'mdev_{mdev_type}')
        return own_vgpus.OwnVgpus(conf, str(self.root))

    def matched(
        self, types: Mapping[str, list[str]], *addresses: str
    ) -> list[tuple[str, str]]:
        """Return address and type of Nova's GPUs that are offered."""
        offered = {
            address: objects.PciDevice(address=address, parent_addr=None)
            for address in addresses
        } | {
            f'slice of {parent}': objects.PciDevice(
                address='0', parent_addr=parent
            )
            for parent in addresses
        }
        return [
            (match.address, match.entry)
            for match in self.vgpus(types).matches(offered)
        ]

    def test_off(self) -> None:
        self.assertFalse(self.vgpus({}))
        self.assertEqual([], self.matched({}, GPU))

    def test_by_address(self) -> None:
        types = {'a': [OTHER], 'b': ['mtty_mtty']}
        self.assertTrue(self.vgpus(types))
        self.assertEqual([(OTHER, 'a')], self.matched(types, GPU, OTHER))

    def test_type_of_all_gpus_that_support_it(self) -> None:
        self.assertEqual([(GPU, 'a')], self.matched({'a': []}, GPU, OTHER))
        # Nova ignores the second type without addresses.
        self.assertEqual([], self.matched({'b': [], 'a': []}, GPU, OTHER))
        self.assertEqual(
            [(GPU, 'b')], self.matched({'a': [], 'b': [GPU]}, GPU, OTHER)
        )
