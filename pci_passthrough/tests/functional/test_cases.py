# SPDX-License-Identifier: Apache-2.0
"""Tests of scans of the hosts in ``tests/cases``, through libvirt."""

from collections.abc import Mapping
import pathlib
import typing

import fixtures
import testtools

from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.cases import files


class CaseTestCase(testtools.TestCase):
    """Base class: scans a case with its ``/sys``, and without."""

    #: file name of the case, without ``.xml``
    CASE: str

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())

    def scan_case(
        self,
        *entries: str,
        files_in_sysfs: Mapping[str, str] | None = None,
        with_sysfs: bool = True,
    ) -> scan.Scan:
        host = libvirt_host.LibvirtHost(files.uri(self.CASE))
        self.addCleanup(host.close)
        host.connect()
        reader = None
        if with_sysfs:
            root = self.useFixture(fixtures.TempDir()).path
            files.write_root(self.CASE, pathlib.Path(root), files_in_sysfs)
            reader = sysfs_reader.SysfsReader(root)
        return scan.scan(
            host.list_node_devices(),
            reader,
            pci_information.PciInformation.parse(entries),
        )

    def check(
        self, offered: list[str], refused: dict[str, str], result: scan.Scan
    ) -> None:
        """Check which devices are offered, and the refusals' exact texts."""
        self.assertEqual(
            (offered, refused),
            (
                [item.device.address for item in result.offered],
                {item.device.address: item.reason for item in result.refused},
            ),
        )


class VmdTestCase(CaseTestCase):
    """Nova cannot address a device behind Intel VMD."""

    CASE = 'c02_vmd'

    def test_domain_above_ffff(self) -> None:
        for with_sysfs in (True, False):
            self.check(
                ['0000:d8:00.0'],
                {
                    '10000:01:00.0': 'Nova cannot address its PCI domain '
                    '10000, which is greater than ffff (a device behind '
                    'Intel VMD)'
                },
                self.scan_case(
                    '{"product_id": "0a54"}', with_sysfs=with_sysfs
                ),
            )


class IommuGroupsTestCase(CaseTestCase):
    """A guest gets all functions of an IOMMU group, or none."""

    CASE = 'c04_iommu_groups'
    SHARED_WITH_NIC = (
        'other functions of its IOMMU group are bound to drivers of the '
        'host and not offered: 0000:08:00.0 (igb)'
    )

    def test_members_that_are_not_offered(self) -> None:
        self.check(
            ['0000:c6:00.0', '0000:c6:00.1'],
            {
                '0000:07:00.0': self.SHARED_WITH_NIC,
                '0000:86:00.0': 'other functions of its IOMMU group are '
                'bound to drivers of the host and not offered: 0000:86:00.1 '
                '(snd_hda_intel)',
            },
            self.scan_case('{"product_id": "2230"}', '{"vendor_id": "14e4"}'),
        )

    def test_sound_function_is_offered_too(self) -> None:
        self.check(
            ['0000:86:00.0', '0000:86:00.1'],
            {
                '0000:07:00.0': self.SHARED_WITH_NIC,
                '0000:07:00.1': self.SHARED_WITH_NIC,
            },
            self.scan_case('{"vendor_id": "10de"}'),
        )

    def test_one_port_of_two(self) -> None:
        self.check(
            [],
            {
                '0000:c6:00.0': 'other functions of its IOMMU group are '
                'bound to drivers of the host and not offered: 0000:c6:00.1 '
                '(bnxt_en)'
            },
            self.scan_case('{"address": "0000:c6:00.0"}'),
        )

    def test_without_sysfs(self) -> None:
        # libvirt's test driver returns no drivers, but network interfaces.
        self.check(
            ['0000:86:00.0'],
            {
                '0000:07:00.0': 'other functions of its IOMMU group are '
                'bound to drivers of the host and not offered: 0000:08:00.0 '
                '(the driver of eno1)'
            },
            self.scan_case('{"product_id": "2230"}', with_sysfs=False),
        )


class VirtualGpuTestCase(CaseTestCase):
    """Virtual functions of a vGPU card work if they have a vGPU type."""

    CASE = 'c11_vfs8'
    CARDS = ['0000:41:00.0', '0000:81:00.0']
    VFS = [f'0000:41:00.{n}' for n in (4, 5, 6, 7)] + [
        f'0000:41:01.{n}' for n in (0, 1, 2, 3)
    ]

    def test_vgpu_types(self) -> None:
        types = dict.fromkeys(self.VFS, '0')
        types['0000:41:01.2'] = '558'
        self.check(
            [self.CARDS[0], '0000:41:01.2', self.CARDS[1]],
            {
                address: 'it is a virtual function without a vGPU type'
                for address, number in types.items()
                if number == '0'
            },
            self.scan_case(
                '{"product_id": "20b5"}',
                files_in_sysfs={
                    f'bus/pci/devices/{vf}/nvidia/current_vgpu_type': number
                    for vf, number in types.items()
                },
            ),
        )

    def test_vgpu_type_is_a_match_key(self) -> None:
        types = dict(zip(self.VFS, ('558', '559', '0', *'00000'), strict=True))
        folders = 'bus/pci/devices'
        for entry, expected in (
            ('{"vgpu_type": 558}', [self.VFS[0]]),
            ('{"vendor_id": "10de", "vgpu_type": "55?"}', self.VFS[:2]),
            ('{"vgpu_type": "0"}', []),
        ):
            result = self.scan_case(
                entry,
                files_in_sysfs={
                    f'{folders}/{vf}/nvidia/current_vgpu_type': number
                    for vf, number in types.items()
                },
            )
            self.check(expected, {}, result)
            self.assertEqual(
                [types[address] for address in expected],
                [offer.device.vgpu_type for offer in result.offered],
            )

    def test_types_are_unknown(self) -> None:
        self.check(
            sorted(self.CARDS + self.VFS),
            {},
            self.scan_case('{"product_id": "20b5"}'),
        )


class MediatedDeviceTestCase(CaseTestCase):
    """A GPU with a mediated device, and the VGA device of a BMC."""

    CASE = 'c13_mdev_in_use'
    REASON = 'it has live mediated devices (mdev)'

    def test_by_class(self) -> None:
        for with_sysfs in (True, False):
            self.check(
                [],
                {
                    '0000:03:00.0': 'it is the VGA device of a BMC, which an '
                    'entry must name, for example by vendor_id and '
                    'product_id',
                    '0000:06:00.0': self.REASON,
                },
                self.scan_case('{"class": "display"}', with_sysfs=with_sysfs),
            )

    def test_by_name(self) -> None:
        self.check(
            ['0000:03:00.0'],
            {
                '0000:06:00.0': f'{self.REASON}; "allow_in_use" does not '
                'change this'
            },
            self.scan_case(
                '{"match": {"vendor_id": "1a03"}}',
                '{"match": {"vendor_id": "10de"}, "allow_in_use": true}',
            ),
        )


class RepresentorsTestCase(CaseTestCase):
    """Representors with names of the kernel are not the uplink."""

    CASE = 'c05b_representors_kernel_names'

    PORTS: typing.ClassVar = {
        'class/net/ens8f1np1/phys_port_name': 'p1',
        'class/net/eth0/phys_port_name': 'pf1vf0',
        'class/net/eth1/phys_port_name': 'pf1vf1',
    }
    ALL: typing.ClassVar = ['0000:d8:00.1', '0000:d8:01.2', '0000:d8:01.3']

    def test_devname_of_the_uplink(self) -> None:
        """It matches the physical function and its virtual functions."""
        entry = '{"devname": "ens8f1np1"}'
        for with_sysfs in (True, False):
            result = self.scan_case(
                entry, files_in_sysfs=self.PORTS, with_sysfs=with_sysfs
            )
            self.check(self.ALL, {}, result)
            device = result.offered[0].device
            self.assertEqual('ens8f1np1', device.devname)
            self.assertEqual('0c:42:a1:00:00:01', device.mac_address)

    def test_devname_of_a_representor(self) -> None:
        for with_sysfs in (True, False):
            result = self.scan_case(
                '{"devname": "eth0"}',
                files_in_sysfs=self.PORTS,
                with_sysfs=with_sysfs,
            )
            self.check([], {}, result)

    def test_port_names_decide(self) -> None:
        """Not the names of interfaces, and not the addresses."""
        ports = {
            'class/net/ens8f1np1/phys_port_name': 'pf1sf88',
            'class/net/eth0/phys_port_name': 'pf1vf0',
            'class/net/eth1/phys_port_name': 'p1',
        }
        result = self.scan_case('{"devname": "eth1"}', files_in_sysfs=ports)
        self.check(self.ALL, {}, result)
