# SPDX-License-Identifier: Apache-2.0
"""Tests of devices that VFIO cannot open, on a host in a folder."""

import pathlib
from typing import Any

import testtools

from pci_passthrough.discovery import open_nodes
from pci_passthrough.nova_plugin.compute import vfio_nodes
from pci_passthrough.tests.unit.discovery import host_tree

_ME, _OTHER = 'my-instance', 'other-instance'
_GPU = host_tree.GPU
_ABSENT = (
    f'VFIO cannot open {_GPU}: it is bound to vfio-pci, and /dev/vfio/7 does '
    'not exist'
)
_BUSY = f'VFIO cannot open {_GPU}: process 42 (qemu) has /dev/vfio/7 open'


def function(**values: Any) -> vfio_nodes.Function:
    defaults: dict[str, Any] = {
        'driver': 'vfio-pci',
        'group': '7',
        'lacks_node': False,
        'nodes': {'/dev/vfio/7', '/dev/vfio/devices/vfio3'},
    }
    return vfio_nodes.Function(**defaults | values)


def opener(node: str, *arguments: str, process: str = '42 (qemu)') -> Any:
    return open_nodes.OpenNode(node, process, arguments)


class UnopenableTest(testtools.TestCase):
    def test_table(self) -> None:
        group, device = '/dev/vfio/7', '/dev/vfio/devices/vfio3'
        for found, opened, expected in (
            (function(), [], []),
            (function(lacks_node=True), [], [_ABSENT]),
            (function(driver='nvidia'), [], []),
            (function(), [opener(group)], [_BUSY]),
            # Another function of its group is in a guest.
            (function(driver='nvidia'), [opener(group, _OTHER)], [_BUSY]),
            (function(), [opener('/dev/vfio/8')], []),
            # A hard reboot ends this guest first.
            (function(), [opener(group, '-uuid', _ME)], []),
            (function(), [opener(group), opener(group, _ME)], []),
            # Its group by the guest, the device itself by another one.
            (
                function(),
                [opener(group, _ME), opener(device, _OTHER, process='9 (x)')],
                [
                    f'VFIO cannot open {_GPU}: process 9 (x) has '
                    '/dev/vfio/devices/vfio3 open'
                ],
            ),
        ):
            with self.subTest(f'{found} {opened}'):
                self.assertEqual(
                    expected,
                    vfio_nodes.unopenable(_ME, {_GPU: found}, opened),
                )

    def test_each_device_has_its_own_reason(self) -> None:
        functions = {
            'b': function(nodes={'/dev/vfio/8'}),
            'a': function(lacks_node=True, nodes=()),
            'c': function(nodes={'/dev/vfio/9'}),
        }
        texts = vfio_nodes.unopenable(
            _ME, functions, [opener('/dev/vfio/8', _OTHER)]
        )
        self.assertEqual(
            ['VFIO cannot open a', 'VFIO cannot open b'],
            [text.partition(':')[0] for text in texts],
        )


class ReasonsTest(testtools.TestCase):
    """Reads the nodes of a host's GPU."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = self.useFixture(host_tree.HostTree())
        self.gpu = self.tree.device(_GPU)
        self.tree.link(f'{self.gpu}/iommu_group', 'sys/kernel/iommu_groups/7')
        self.tree.write('dev/vfio/vfio', '')
        self.tree.write('dev/vfio/8', '')

    def bind(self, driver: str) -> None:
        (self.tree.root / self.gpu / 'driver').unlink(missing_ok=True)
        self.tree.link(f'{self.gpu}/driver', f'sys/bus/pci/drivers/{driver}')

    def reasons(self, *addresses: str) -> list[str]:
        return vfio_nodes.reasons(
            str(self.tree.root), _ME, addresses or [_GPU]
        )

    def test_absent_node(self) -> None:
        self.assertEqual([], self.reasons())
        self.bind('nvidia')
        self.assertEqual([], self.reasons())
        self.bind('vfio-pci')
        self.assertEqual([_ABSENT], self.reasons())
        self.tree.write('dev/vfio/7', '')
        self.assertEqual([], self.reasons())

    def test_absent_in_another_dev_than_the_host_s(self) -> None:
        self.bind('vfio-pci')
        self.tree.write('sys/class/vfio/7/dev', '234:0')
        self.assertEqual([], self.reasons())

    def test_busy_node(self) -> None:
        self.bind('vfio-pci')
        self.tree.write('dev/vfio/7', '')
        descriptors = self.tree.root / 'proc/42/fd'
        descriptors.mkdir(parents=True)
        self.tree.write('proc/42/comm', 'qemu')
        self.assertEqual([], self.reasons())
        (descriptors / '9').symlink_to(pathlib.Path('/dev/vfio/7'))
        self.assertEqual([_BUSY], self.reasons())
        # Any other device of the host.
        self.assertEqual([], self.reasons(host_tree.NIC))
        self.tree.write('proc/42/cmdline', f'qemu\0-uuid\0{_OTHER}\0-S\0')
        self.assertEqual([_BUSY], self.reasons())
        self.tree.write('proc/42/cmdline', f'qemu\0-uuid\0{_ME}\0-S\0')
        self.assertEqual([], self.reasons())

    def test_device_that_is_not_there(self) -> None:
        self.assertEqual([], self.reasons('0000:77:00.0'))
