# SPDX-License-Identifier: Apache-2.0
"""Tests of parsing libvirt's XML.

The samples are from Linux 6.12, libvirt 11.3 and QEMU's igb and NVMe.
"""

import pathlib

import fixtures
import testtools

from pci_passthrough.discovery import node_device
from pci_passthrough.objects import device as device_obj

_SAMPLES = pathlib.Path(__file__).parent / 'samples'

#: Written after libvirt's documentation; no vdpa device was available.
_VDPA = """
<device>
  <name>vdpa_vdpa0</name>
  <parent>pci_0000_61_10_0</parent>
  <driver><name>vhost_vdpa</name></driver>
  <capability type='vdpa'><chardev>/dev/vhost-vdpa-0</chardev></capability>
</device>
"""


_MDEV = """
<device>
  <name>mdev_4b20d080_1b54_4048_85b3_a6a62d165c01_0000_61_00_0</name>
  <path>/sys/devices/pci0000:60/4b20d080-1b54-4048-85b3-a6a62d165c01</path>
  <parent>pci_0000_61_00_0</parent>
  <capability type='mdev'><type id='nvidia-222'/></capability>
</device>
"""


def _sample(name: str) -> str:
    return (_SAMPLES / f'{name}.xml').read_text()


def _net(parent: str, name: str, link: str) -> str:
    return (
        f'<device><name>net_{name}</name><parent>{parent}</parent>'
        f"<capability type='net'><interface>{name}</interface>"
        f'<address>52:54:00:AA:00:01</address>{link}'
        "<feature name='tso'/><feature name='gro'/></capability></device>"
    )


class ParseListingTestCase(testtools.TestCase):
    """Tests of one listing."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())

    def _one(self, *documents: str) -> device_obj.PciDevice:
        devices = node_device.parse_listing(documents).devices
        self.assertEqual(1, len(devices))
        return devices[0]

    def test_nic_physical_function(self) -> None:
        device = self._one(_sample('net_ens2'), _sample('pci_0000_61_00_0'))
        self.assertEqual(
            {
                'resource_type': 'pci',
                'address': '0000:61:00.0',
                'parent_addr': None,
                'dev_type': 'type-PF',
                'vendor_id': '8086',
                'product_id': '10c9',
                'subsystem_vendor_id': None,
                'subsystem_id': None,
                'pci_class': '020000',
                'driver': 'igb',
                'numa_node': 1,
                'iommu_group': 8,
                'devname': 'ens2',
                'mac_address': '52:54:00:aa:00:01',
                'link_speed': 1000,
                'total_vfs': 7,
                'capabilities': [
                    'gro', 'gso', 'rx', 'rxhash', 'rxvlan', 'sg', 'tso',
                    'tx', 'txudptnl', 'txvlan',
                ],
                'serial_number': None,
                'vgpu_type': None,
                'extra_info': {},
                'offered_by': None,
                'refusal': None,
                'handlers': [],
                'on_failure': None,
            },
            {
                name: getattr(device, name)
                for name in device_obj.REPORTED_FIELDS
            },
        )  # fmt: skip

    def test_virtual_function_with_link_down(self) -> None:
        device = self._one(_sample('pci_0000_61_10_0'), _sample('net_ens2v0'))
        self.assertEqual('type-VF', device.dev_type)
        self.assertEqual('0000:61:00.0', device.parent_addr)
        self.assertEqual('ens2v0', device.devname)
        self.assertIsNone(device.link_speed)
        self.assertIsNone(device.total_vfs)

    def test_vdpa(self) -> None:
        device = self._one(_sample('pci_0000_61_10_0'), _VDPA)
        self.assertEqual('vdpa', device.dev_type)
        self.assertEqual('0000:61:00.0', device.parent_addr)

    def test_vdpa_of_a_physical_function_changes_nothing(self) -> None:
        vdpa = _VDPA.replace('61_10_0', '61_00_0')
        device = self._one(_sample('pci_0000_61_00_0'), vdpa)
        self.assertEqual('type-PF', device.dev_type)

    def test_plain_function_without_driver_and_names(self) -> None:
        device = self._one(_sample('pci_0000_62_00_0'))
        self.assertEqual('type-PCI', device.dev_type)
        self.assertIsNone(device.driver)
        self.assertEqual('1234', device.vendor_id)

    def test_nvme_physical_function_is_no_nic(self) -> None:
        device = self._one(_sample('pci_0000_21_00_0'), _sample('net_lo'))
        self.assertEqual('type-PF', device.dev_type)
        self.assertIsNone(device.devname)
        self.assertEqual([], device.capabilities)

    def test_sriov_that_firmware_switched_off(self) -> None:
        sample = _sample('pci_0000_61_00_0')
        head, _, rest = sample.partition("<capability type='virt_functions'")
        rest = rest.partition('</capability>')[2]
        device = self._one(
            f"{head}<capability type='virt_functions' maxCount='0'/>{rest}"
        )
        self.assertEqual('type-PCI', device.dev_type)

    def test_mediated_devices(self) -> None:
        functions = [_sample('pci_0000_61_00_0'), _sample('pci_0000_62_00_0')]
        # libvirt lists a device that is only defined without a path.
        defined = '\n'.join(
            line for line in _MDEV.splitlines() if '<path>' not in line
        )
        for documents, expected in (
            (functions, set()),
            ([_MDEV, *functions], {'0000:61:00.0'}),
            ([defined, *functions], set()),
            ([_MDEV.replace('pci_0000_61', 'css_0_0'), *functions], set()),
        ):
            listing = node_device.parse_listing(documents)
            self.assertEqual(expected, listing.mediated)
            self.assertEqual(2, len(listing.devices))

    def test_bridges_are_ignored(self) -> None:
        self.assertEqual(
            [],
            node_device.parse_listing([_sample('pci_0000_20_00_0')]).devices,
        )

    def test_nvswitch_is_no_bridge(self) -> None:
        """The class is a bridge's, the header type is not."""
        sample = _sample('pci_0000_62_00_0')
        begin, end = sample.index('<class>'), sample.index('</class>')
        switch = f'{sample[:begin]}<class>0x068000{sample[end:]}'
        self.assertEqual('068000', self._one(switch).pci_class)
        bridge = switch.replace(
            '<iommuGroup', "<capability type='pci-bridge'/><iommuGroup", 1
        )
        self.assertEqual([], node_device.parse_listing([bridge]).devices)

    def test_numa_node_unknown(self) -> None:
        sample = _sample('pci_0000_62_00_0')
        device = self._one(sample.replace("numa node='1'", "numa node='-1'"))
        self.assertIsNone(device.numa_node)

    def test_wide_domain(self) -> None:
        """Intel's VMD has domains of more than four digits."""
        sample = _sample('pci_0000_62_00_0')
        device = self._one(
            sample.replace('<domain>0</domain>', '<domain>65536</domain>')
        )
        self.assertEqual('10000:62:00.0', device.address)

    def test_link_speed_needs_an_up_link_and_a_speed(self) -> None:
        function = _sample('pci_0000_61_00_0')
        for link, speed in (
            ("<link speed='25000' state='up'/>", 25000),
            ("<link speed='25000' state='down'/>", None),
            ("<link speed='4294967295' state='up'/>", None),
            ("<link speed='-1' state='up'/>", None),
            ("<link speed='0' state='up'/>", None),
            ("<link state='up'/>", None),
            ('', None),
        ):
            net = _net('pci_0000_61_00_0', 'ens2', link)
            device = self._one(function, net)
            self.assertEqual(speed, device.link_speed, link)

    def test_main_interface_without_sysfs(self) -> None:
        """Each row: interfaces (name, MAC, feature), and the main one."""
        parent = 'pci_0000_61_00_0'
        universal, local, other = '0c:42:a1', 'ce:00:00', '0e:00:00'
        for interfaces, main in (
            ((), None),
            ((('eth0', local, False),), 'eth0'),
            # The length of the name says nothing.
            (
                (
                    ('eth0', local, False),
                    ('ens2np0', universal, True),
                    ('eth1', other, False),
                ),
                'ens2np0',
            ),
            (
                (('eth0', local, True), ('ens2np0', universal, False)),
                'ens2np0',
            ),
            ((('eth0', local, False), ('ens2np0', other, True)), 'ens2np0'),
            ((('eth0', local, False), ('eth1', other, False)), None),
            ((('eth0', universal, True), ('eth1', universal, True)), None),
        ):
            nets = [
                _net(parent, name, '')
                .replace('52:54:00', prefix)
                .replace('<feature', '<feature' if has_feature else '<other')
                for name, prefix, has_feature in interfaces
            ]
            device = self._one(_sample(parent), *nets)
            self.assertEqual(main, device.devname, str(interfaces))

    def test_main_interface_by_sysfs(self) -> None:
        parent = 'pci_0000_61_00_0'
        nets = [_net(parent, name, '') for name in ('eth0', 'ens2np0')]
        for main in ('eth0', 'ens2np0', None):
            [device] = node_device.parse_listing(
                [_sample(parent), *nets], {'0000:61:00.0': main}
            ).devices
            self.assertEqual(main, device.devname)

    def test_sorted_by_address(self) -> None:
        names = ('pci_0000_62_00_0', 'pci_0000_21_00_0', 'pci_0000_61_10_0')
        self.assertEqual(
            ['0000:21:00.0', '0000:61:10.0', '0000:62:00.0'],
            [
                device.address
                for device in node_device.parse_listing(
                    map(_sample, names)
                ).devices
            ],
        )

    def test_incomplete_devices_are_unusable(self) -> None:
        whole = _sample('pci_0000_62_00_0')
        for removed in (
            '<class>0x038000</class>',
            '<bus>98</bus>',
            "<vendor id='0x1234'/>",
            "<product id='0x1111'/>",
        ):
            broken = whole.replace(removed, '')
            self.assertNotEqual(whole, broken)
            self._unusable(broken, _sample('pci_0000_61_10_0'))

    def _unusable(self, *documents: str) -> None:
        """Check that 0000:62:00.0 has no description, and others have one."""
        listing = node_device.parse_listing(documents)
        self.assertEqual(
            ['0000:61:10.0'][: len(documents) - 1],
            [device.address for device in listing.devices],
        )
        self.assertEqual(['0000:62:00.0'], [*listing.unusable])
        self.assertIn('is unusable', listing.unusable['0000:62:00.0'])

    def test_malformed_values_are_unusable(self) -> None:
        whole = _sample('pci_0000_62_00_0')
        for right, wrong in (
            ('0x038000', 'display'),
            ('<slot>0</slot>', '<slot>99</slot>'),
            ("'0x1234'", "'0x12345'"),
        ):
            self._unusable(whole.replace(right, wrong))

    def test_malformed_numa_node_costs_one_fact(self) -> None:
        whole = _sample('pci_0000_62_00_0')
        odd = whole.replace("node='1'", "node='one'")
        [device], [expected] = (
            node_device.parse_listing([document]).devices
            for document in (odd, whole)
        )
        self.assertEqual(1, expected.numa_node)
        expected.numa_node = None
        self.assertEqual(expected.reported(), device.reported())

    def test_broken_xml_does_not_break_the_listing(self) -> None:
        whole = _sample('pci_0000_62_00_0')
        other = _sample('pci_0000_61_10_0')
        self._unusable(whole[:-20], other)
        self._unusable(
            whole.replace('</device>', '\0</device>'), other, '<device>'
        )
        self.assertIn(
            'Ignoring node device <device>: malformed XML', self.log.output
        )
