# SPDX-License-Identifier: Apache-2.0
"""What a host uses, from files as Linux shows them."""

import os
import pathlib

import fixtures
import testtools

from pci_passthrough.discovery import host_root
from pci_passthrough.discovery import host_use

NIC, VF, DISK, OTHER_DISK, GPU = (
    '0000:01:00.0',
    '0000:01:10.0',
    '0000:02:00.0',
    '0000:03:00.0',
    '0000:04:00.0',
)

_ROUTE_HEAD = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n'
_SWAPS_HEAD = 'Filename\tType\tSize\tUsed\tPriority\n'


class HostTree(fixtures.Fixture):
    """A host's root with a NIC, its VF, two disks' controllers, a GPU."""

    def _setUp(self) -> None:
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.mounts: list[str] = []
        self.write('proc/1/mountinfo', '22 1 0:21 / /proc rw - proc proc rw')
        self.write('proc/swaps', _SWAPS_HEAD)
        self.write('proc/1/net/route', _ROUTE_HEAD)
        for address, code in (
            (NIC, '0x020000'),
            (VF, '0x020000'),
            (DISK, '0x010802'),
            (OTHER_DISK, '0x010802'),
            (GPU, '0x030000'),
        ):
            self.write(f'{self.device(address)}/class', code)
            self.link(f'sys/bus/pci/devices/{address}', self.device(address))
        self.link(f'{self.device(VF)}/physfn', self.device(NIC))
        # Nobody may ever read it: for a test, reading it fails.
        (self.root / self.device(NIC) / 'sriov_numvfs').mkdir()

    @staticmethod
    def device(address: str) -> str:
        return f'sys/devices/pci0000:00/0000:00:{address[5:7]}.0/{address}'

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{text}\n')

    def link(self, path: str, target: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (self.root / target).mkdir(parents=True, exist_ok=True)
        place.symlink_to(
            os.path.relpath(self.root / target, place.parent),
        )

    def block(self, path: str, number: str, signature: str | None = '') -> str:
        """Add a block device; ``signature`` None: udev has not seen it."""
        name = path.rpartition('/')[2]
        self.write(f'{path}/dev', number)
        self.write(f'{path}/size', '2048')
        self.link(f'sys/class/block/{name}', path)
        if signature is not None:
            self.write(
                f'run/udev/data/b{number}',
                f'S:disk/x\nE:ID_FS_TYPE={signature}' if signature else 'I:1',
            )
        return path

    def disk(self, name: str, address: str, signature: str | None = '') -> str:
        path = f'{self.device(address)}/nvme/{name[:5]}/{name}'
        return self.block(path, f'259:{address[6:7]}0', signature)

    def partition(self, disk: str, signature: str | None = '') -> str:
        name = disk.rpartition('/')[2]
        number = (self.root / disk / 'dev').read_text().strip() + '1'
        path = self.block(f'{disk}/{name}p1', number, signature)
        self.write(f'{path}/partition', '1')
        return path

    def stack(self, upper: str, lower: str) -> None:
        """Put a block device upon another."""
        self.link(f'{upper}/slaves/{os.path.basename(lower)}', lower)
        self.link(f'{lower}/holders/{os.path.basename(upper)}', upper)

    def mount(self, number: str, kind: str, source: str, at: str) -> None:
        self.mounts.append(
            f'{30 + len(self.mounts)} 1 {number} / {at} rw shared:1 - '
            f'{kind} {source} rw'
        )
        self.write('proc/1/mountinfo', '\n'.join(self.mounts))

    def interface(self, name: str, path: str, kind: str = '') -> str:
        path = f'{path}/net/{name}'
        self.write(f'{path}/uevent', f'DEVTYPE={kind}\nINTERFACE={name}')
        self.link(f'sys/class/net/{name}', path)
        return path

    def route(self, name: str, target: str, mask: str) -> None:
        self.write(
            'proc/1/net/route',
            f'{_ROUTE_HEAD}{name}\t{target}\t00000000\t0001\t0\t0\t0\t{mask}',
        )


class HostRootTestCase(testtools.TestCase):
    """Base: a tree and the object over it."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.tree = self.useFixture(HostTree())
        self.host = host_root.HostRoot(str(self.tree.root))

    def uses(self) -> dict[str, str]:
        return host_use.uses(self.host.facts())

    def assert_uses(self, **expected: str) -> None:
        """Check that exactly these devices are used, by variable name."""
        names = {
            'nic': NIC,
            'vf': VF,
            'disk': DISK,
            'other_disk': OTHER_DISK,
            'gpu': GPU,
        }
        self.assertEqual(
            {names[name]: reason for name, reason in expected.items()},
            {
                address: reason
                for address, reason in self.uses().items()
                if address in names.values()
            },
        )


class FunctionTestCase(HostRootTestCase):
    """Facts of one function."""

    def test_facts(self) -> None:
        folder = self.tree.device(NIC)
        self.tree.write(f'{folder}/subsystem_vendor', '0x1af4')
        self.tree.write(f'{folder}/subsystem_device', '0x0001')
        self.tree.write(f'{folder}/sriov_totalvfs', '7')
        self.tree.link(f'{folder}/driver', 'sys/bus/pci/drivers/igb')
        self.assertEqual(('1af4', '0001', 'igb', 7), self.known_of(NIC))

    def test_nothing_there(self) -> None:
        self.assertEqual((None, None, None, None), self.known_of(GPU))

    def known_of(self, address: str) -> tuple[object, ...]:
        function = self.host.facts().functions[address]
        return (
            function.subsystem_vendor_id,
            function.subsystem_id,
            function.driver,
            function.total_vfs,
        )

    def test_unknown_function(self) -> None:
        self.assertNotIn('0000:99:00.0', self.host.facts().functions)
        reason = self.host.unknown_function()
        self.assertTrue(reason.startswith(host_use.CANNOT_TELL))

    def test_idle_host(self) -> None:
        self.assert_uses()
        self.assertNotIn(NIC, self.uses())


class StorageUseTestCase(HostRootTestCase):
    """Disks which the host needs."""

    def test_mounted_partition(self) -> None:
        self.tree.partition(self.tree.disk('nvme0n1', DISK))
        self.tree.disk('nvme1n1', OTHER_DISK)
        self.tree.mount('259:201', 'ext4', '/dev/root', '/')
        self.assert_uses(disk='its disk nvme0n1p1 is mounted at /')

    def test_mount_upon_lvm_upon_raid(self) -> None:
        raid = self.tree.block('sys/devices/virtual/block/md0', '9:0')
        for name, address in (('nvme0n1', DISK), ('nvme1n1', OTHER_DISK)):
            part = self.tree.partition(self.tree.disk(name, address))
            self.tree.stack(raid, part)
        volume = self.tree.block('sys/devices/virtual/block/dm-0', '253:0')
        self.tree.stack(volume, raid)
        self.tree.mount('253:0', 'xfs', '/dev/mapper/vg-lv', '/srv')
        reason = 'its disk dm-0 is mounted at /srv'
        self.assert_uses(disk=reason, other_disk=reason)

    def test_holder_without_mount(self) -> None:
        volume = self.tree.block('sys/devices/virtual/block/dm-0', '253:0')
        part = self.tree.partition(self.tree.disk('nvme0n1', DISK))
        self.tree.stack(volume, part)
        self.assert_uses(disk='its disk nvme0n1p1 is held by dm-0')

    def test_swap(self) -> None:
        disk = self.tree.disk('nvme0n1', DISK)
        volume = self.tree.block('sys/devices/virtual/block/dm-3', '253:3')
        self.tree.write(f'{volume}/dm/name', 'vg-swap')
        self.tree.link(f'{volume}/slaves/nvme0n1', disk)
        self.tree.write(
            'proc/swaps',
            f'{_SWAPS_HEAD}/swapfile file 8 0 -2\n'
            '/dev/mapper/vg-swap partition 1024 0 -3',
        )
        self.assert_uses(disk='its disk dm-3 is swap space')

    def test_members_without_holder(self) -> None:
        for signature in (
            'LVM2_member', 'linux_raid_member', 'zfs_member', 'bcache',
            'ceph_bluestore',
        ):  # fmt: skip
            self.tree = self.useFixture(HostTree())
            self.host = host_root.HostRoot(str(self.tree.root))
            self.tree.disk('nvme0n1', DISK, signature)
            self.assert_uses(disk=f'its disk nvme0n1 is a {signature}')

    def test_closed_encryption_and_old_file_systems_are_free(self) -> None:
        self.tree.disk('nvme0n1', DISK, 'crypto_LUKS')
        self.tree.disk('nvme1n1', OTHER_DISK, 'ext4')
        self.assert_uses()

    def test_unprobed_content(self) -> None:
        self.tree.disk('nvme0n1', DISK, None)
        self.assert_uses(
            disk='cannot tell whether the host uses it: /run/udev/data has '
            'no record of what is on nvme0n1'
        )

    def test_empty_drive(self) -> None:
        disk = self.tree.disk('nvme0n1', DISK, None)
        self.tree.write(f'{disk}/size', '0')
        self.assert_uses()

    def test_btrfs_of_two_disks(self) -> None:
        self.tree.disk('nvme0n1', DISK, 'btrfs')
        other = self.tree.disk('nvme1n1', OTHER_DISK, 'btrfs')
        self.tree.link('sys/fs/btrfs/0123-45/devices/nvme1n1', other)
        self.tree.mount('0:40', 'btrfs', '/dev/nvme0n1', '/home')
        self.assert_uses(
            disk='its disk nvme0n1 is mounted at /home',
            other_disk='its disk nvme1n1 belongs to a mounted Btrfs',
        )

    def _multipath(self) -> None:
        subsystem = 'sys/devices/virtual/nvme-subsystem/nvme-subsys0'
        self.tree.block(f'{subsystem}/nvme0n1', '259:0')
        for number, address in enumerate((DISK, OTHER_DISK)):
            controller = f'{self.tree.device(address)}/nvme/nvme{number}'
            self.tree.link(f'{subsystem}/nvme{number}', controller)
        self.tree.mount('259:0', 'ext4', '/dev/nvme0n1', '/')

    def test_nvme_multipath(self) -> None:
        self._multipath()
        reason = 'its disk nvme0n1 is mounted at /'
        self.assert_uses(disk=reason, other_disk=reason)

    def test_nvme_multipath_by_one_controller(self) -> None:
        self._multipath()
        path = f'{self.tree.device(OTHER_DISK)}/nvme/nvme1/nvme0c1n1'
        self.tree.write(f'{path}/hidden', '1')
        self.tree.link('sys/class/block/nvme0c1n1', path)
        self.assert_uses(other_disk='its disk nvme0n1 is mounted at /')

    def test_disk_behind_a_volume_management_device(self) -> None:
        """A VMD controller takes its disks along."""
        path = f'{self.tree.device(DISK)}/pci10000:e0/10000:e1:00.0'
        self.tree.block(f'{path}/nvme/nvme0/nvme0n1', '259:0')
        self.tree.mount('259:0', 'ext4', '/dev/nvme0n1', '/')
        self.assert_uses(disk='its disk nvme0n1 is mounted at /')

    def test_mount_that_sysfs_cannot_explain(self) -> None:
        self.tree.mount('8:1', 'ext4', '/dev/sda1', '/')
        reason = (
            'cannot tell whether the host uses it: sysfs shows no disks, '
            'but block device 8:1 is mounted at /'
        )
        self.assert_uses(disk=reason, other_disk=reason)

    def test_no_mount_table(self) -> None:
        (self.tree.root / 'proc/1/mountinfo').unlink()
        for address in (NIC, VF, DISK, GPU):
            reason = self.uses()[address]
            self.assertTrue(reason.startswith(host_use.CANNOT_TELL))
            self.assertIn('mountinfo', reason)


class NetworkUseTestCase(HostRootTestCase):
    """Interfaces which the host needs."""

    def setUp(self) -> None:
        super().setUp()
        self.nic = self.tree.interface('ens1', self.tree.device(NIC))
        self.vf = self.tree.interface('ens1v0', self.tree.device(VF))

    def test_route(self) -> None:
        """The VFs of a PF that carries an address stay free."""
        self.tree.route('ens1', '000200C0', '00FFFFFF')
        self.assert_uses(
            nic='its network interface ens1 carries an IPv4 address or route'
        )

    def test_default_route(self) -> None:
        self.tree.route('ens1', '00000000', '00000000')
        self.assert_uses(
            nic='its network interface ens1 carries the default route'
        )

    def test_ipv6_address(self) -> None:
        self.tree.write(
            'proc/1/net/if_inet6',
            'fe800000000000000000000000000001 02 40 20 80 ens1\n'
            '20010db8000000000000000000000001 03 40 00 80 ens1v0\n'
            '00000000000000000000000000000001 01 80 10 80 lo',
        )
        reason = 'its network interface ens1v0 carries the address 2001:db8::1'
        self.assert_uses(
            vf=reason, nic=f'its virtual function {VF} is in use: {reason}'
        )

    def test_ipv6_default_route(self) -> None:
        nowhere = '0' * 32
        line = (
            f'{nowhere} 00 {nowhere} 00 {nowhere} 00000400 00000001 00000000'
        )
        self.tree.write(
            'proc/1/net/ipv6_route',
            f'{line} 00200200 lo\n{line} 00000003 ens1\n'
            f'{line} 00200200 ens1v0',
        )
        self.assert_uses(
            nic='its network interface ens1 carries the default route'
        )

    def test_member_of_a_bond(self) -> None:
        bond = self.tree.interface('bond0', 'sys/devices/virtual', 'bond')
        self.tree.write('sys/class/net/bonding_masters', 'bond0')
        for name in ('master', 'upper_bond0'):
            self.tree.link(f'{self.nic}/{name}', bond)
        self.assert_uses(nic='its network interface ens1 belongs to bond0')

    def test_vlan_with_address(self) -> None:
        vlan = self.tree.interface('ens1.7', 'sys/devices/virtual', 'vlan')
        self.tree.link(f'{self.nic}/upper_ens1.7', vlan)
        self.assert_uses()
        self.tree.route('ens1.7', '000200C0', '00FFFFFF')
        self.assert_uses(
            nic='its network interface ens1 carries ens1.7, which carries '
            'an IPv4 address or route'
        )

    def test_vlan_in_a_bridge(self) -> None:
        vlan = self.tree.interface('ens1.7', 'sys/devices/virtual', 'vlan')
        bridge = self.tree.interface('br0', 'sys/devices/virtual', 'bridge')
        self.tree.link(f'{self.nic}/upper_ens1.7', vlan)
        self.tree.link(f'{vlan}/master', bridge)
        self.assert_uses(
            nic='its network interface ens1 carries ens1.7, which belongs '
            'to br0'
        )

    def test_macvtap_of_a_guest(self) -> None:
        tap = self.tree.interface('macvtap0', 'sys/devices/virtual', 'macvtap')
        self.tree.link(f'{self.nic}/upper_macvtap0', tap)
        self.assert_uses(nic='its network interface ens1 carries macvtap0')

    def test_route_that_sysfs_cannot_explain(self) -> None:
        self.tree.route('enp9', '000200C0', '00FFFFFF')
        reason = (
            'cannot tell whether the host uses it: network interface enp9 '
            'carries an IPv4 address or route, but sysfs does not show it'
        )
        self.assert_uses(nic=reason, vf=reason)

    def test_no_routing_table(self) -> None:
        (self.tree.root / 'proc/1/net/route').unlink()
        reason = self.uses()[NIC]
        self.assertTrue(reason.startswith(host_use.CANNOT_TELL))


class ConsoleUseTestCase(HostRootTestCase):
    """The display which shows the host's console."""

    def test_framebuffer_of_the_boot_device(self) -> None:
        folder = self.tree.device(GPU)
        self.tree.link('sys/class/graphics/fb0', f'{folder}/graphics/fb0')
        self.assert_uses()
        self.tree.write(f'{folder}/boot_vga', '1')
        self.assert_uses(gpu="it shows the host's console")

    def test_framebuffer_of_the_firmware(self) -> None:
        self.tree.write(f'{self.tree.device(GPU)}/boot_vga', '1')
        self.assert_uses()
        self.tree.link(
            'sys/class/graphics/fb0',
            'sys/devices/platform/simple-framebuffer.0/graphics/fb0',
        )
        self.assert_uses(gpu="it shows the host's console")
