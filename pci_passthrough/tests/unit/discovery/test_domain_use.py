# SPDX-License-Identifier: Apache-2.0
"""Tests of which guests have which functions, and of open VFIO nodes."""

import os

import testtools

from pci_passthrough import chroot_files
from pci_passthrough.discovery import domain_use
from pci_passthrough.discovery import open_nodes
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.tests.unit.discovery import host_tree

#: As libvirt 11.3 writes a domain with Nova's devices, without the rest.
_DOMAIN = """<domain type='kvm' id='3'><name>instance-1</name><devices>
<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/>
<source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
</source><address type='pci' domain='0x0000' bus='0x04' slot='0x00'
function='0x0'/></hostdev>
<interface type='hostdev' managed='yes'><mac address='52:54:00:0e:83:5b'/>
<source><address type='pci' domain='0x0000' bus='0x01' slot='0x10'
function='0x1'/></source></interface>
<disk type='nvme' device='disk'><source type='pci' managed='yes'
namespace='1'><address domain='0x0001' bus='0xaf' slot='0x1f'
function='0x7'/></source><target dev='vda'/></disk>
<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/>
</source></hostdev></devices></domain>"""


class DomainUseTest(testtools.TestCase):
    def test_functions_of_a_guest(self) -> None:
        users = domain_use.users([_DOMAIN, '<domain><name>b</name></domain>'])
        self.assertEqual(
            dict.fromkeys(
                ('0000:01:00.0', '0000:01:10.1', '0001:af:1f.7'),
                'instance-1',
            ),
            users,
        )

    def test_malformed_document(self) -> None:
        self.assertRaises(ValueError, domain_use.users, ['<domain>'])


class VfioNodesTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tree = self.useFixture(host_tree.HostTree())
        self.gpu = self.tree.device(host_tree.GPU)
        self.tree.link(f'{self.gpu}/iommu_group', 'sys/kernel/iommu_groups/7')

    def lacks_node(self) -> bool:
        reader = sysfs_reader.SysfsReader(str(self.tree.root))
        return reader.facts().functions[host_tree.GPU].lacks_vfio_node

    def test_missing_node_of_a_group(self) -> None:
        driver = self.tree.root / self.gpu / 'driver'
        for name, nodes, lacks in (
            ('vfio-pci', (), False),
            ('vfio-pci', ('vfio',), False),
            ('vfio-pci', ('vfio', '8'), True),
            ('nvgrace_gpu_vfio_pci', ('vfio', '8'), True),
            ('nvidia', ('vfio', '8'), False),
            ('vfio-pci', ('vfio', '8', '7'), False),
        ):
            with self.subTest(f'{name} {nodes}'):
                driver.unlink(missing_ok=True)
                self.tree.link(
                    f'{self.gpu}/driver', f'sys/bus/pci/drivers/{name}'
                )
                for node in nodes:
                    self.tree.write(f'dev/vfio/{node}', '')
                self.assertEqual(lacks, self.lacks_node())
                for node in nodes:
                    (self.tree.root / 'dev/vfio' / node).unlink()

    def test_process_that_has_it_open(self) -> None:
        files = chroot_files.ChrootFiles(str(self.tree.root))

        def openers() -> list[open_nodes.OpenNode]:
            nodes = open_nodes.nodes_of(files, host_tree.GPU, 7)
            return list(open_nodes.openers_of(files, nodes))

        self.assertEqual([], openers())
        descriptors = self.tree.root / 'proc/42/fd'
        descriptors.mkdir(parents=True)
        self.tree.write('proc/42/comm', 'qemu-kvm')
        self.tree.write('proc/42/cmdline', 'qemu-kvm\0-uuid\0u\0')
        for number, target in enumerate(('/dev/vfio/70', '/dev/vfio/vfio')):
            os.symlink(target, descriptors / str(number))
        self.assertEqual([], openers())
        os.symlink('/dev/vfio/7', descriptors / '9')
        [opener] = openers()
        self.assertEqual(
            ('/dev/vfio/7', '42 (qemu-kvm)'), (opener.node, opener.process)
        )
        self.assertIn('u', opener.arguments)
        (descriptors / '9').unlink()
        os.symlink('/dev/vfio/devices/vfio3', descriptors / '9')
        self.assertEqual([], openers())
        vhost = self.tree.root / self.gpu / 'vdpa4/vhost-vdpa-5'
        vhost.mkdir(parents=True)
        (self.tree.root / self.gpu / 'vdpa4/driver').mkdir()
        self.assertEqual(
            {'/dev/vhost-vdpa-5'},
            open_nodes.vhost_nodes_of(files, host_tree.GPU),
        )
        (self.tree.root / self.gpu / 'vfio-dev/vfio3').mkdir(parents=True)
        self.assertEqual(
            ['/dev/vfio/devices/vfio3'], [opener.node for opener in openers()]
        )
