# SPDX-License-Identifier: Apache-2.0
"""Tests of the decision which functions the host uses, with Linux's files."""

import fixtures
import testtools
from testtools import matchers

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.tests.unit.discovery import host_tree

_NAMES = {
    'nic': host_tree.NIC,
    'vf': host_tree.VF,
    'disk': host_tree.DISK,
    'other_disk': host_tree.OTHER_DISK,
    'gpu': host_tree.GPU,
}


class InUseTestCase(testtools.TestCase):
    """Base class: reads the files of a ``HostTree`` and evaluates them."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.tree = self.useFixture(host_tree.HostTree())
        self.reader = sysfs_reader.SysfsReader(str(self.tree.root))

    def uses(self) -> dict[str, str]:
        """Return the reasons of all devices but bridges."""
        return {
            address: reason
            for address, reason in in_use.reasons_in_use(
                self.reader.facts()
            ).items()
            if address in _NAMES.values()
        }

    def assert_uses(self, **expected: str) -> None:
        """Check that the host uses these devices only, for these reasons."""
        self.assertEqual(
            {_NAMES[name]: reason for name, reason in expected.items()},
            self.uses(),
        )


class IdleTestCase(InUseTestCase):
    """A host that uses no device."""

    def test_idle_host(self) -> None:
        self.assert_uses()
        self.assertNotIn(host_tree.NIC, self.uses())


class StorageUseTestCase(InUseTestCase):
    """Disks that the host uses."""

    def test_mounted_partition(self) -> None:
        self.tree.partition(self.tree.disk('nvme0n1', host_tree.DISK))
        self.tree.disk('nvme1n1', host_tree.OTHER_DISK)
        self.tree.mount('259:201', 'ext4', '/dev/root', '/')
        self.assert_uses(disk='its disk nvme0n1p1 is mounted at /')

    def test_mount_upon_lvm_upon_raid(self) -> None:
        raid = self.tree.block('sys/devices/virtual/block/md0', '9:0')
        for name, address in (
            ('nvme0n1', host_tree.DISK),
            ('nvme1n1', host_tree.OTHER_DISK),
        ):
            part = self.tree.partition(self.tree.disk(name, address))
            self.tree.stack(raid, part)
        volume = self.tree.block('sys/devices/virtual/block/dm-0', '253:0')
        self.tree.stack(volume, raid)
        self.tree.mount('253:0', 'xfs', '/dev/mapper/vg-lv', '/srv')
        reason = 'its disk dm-0 is mounted at /srv'
        self.assert_uses(disk=reason, other_disk=reason)

    def test_holder_without_mount(self) -> None:
        volume = self.tree.block('sys/devices/virtual/block/dm-0', '253:0')
        part = self.tree.partition(self.tree.disk('nvme0n1', host_tree.DISK))
        self.tree.stack(volume, part)
        self.assert_uses(disk='its disk nvme0n1p1 is held by dm-0')

    def test_swap(self) -> None:
        disk = self.tree.disk('nvme0n1', host_tree.DISK)
        volume = self.tree.block('sys/devices/virtual/block/dm-3', '253:3')
        self.tree.write(f'{volume}/dm/name', 'vg-swap')
        self.tree.link(f'{volume}/slaves/nvme0n1', disk)
        self.tree.write(
            'proc/swaps',
            f'{host_tree.SWAPS_HEAD}/swapfile file 8 0 -2\n'
            '/dev/mapper/vg-swap partition 1024 0 -3',
        )
        self.assert_uses(disk='its disk dm-3 is swap space')

    def test_labels_without_mount(self) -> None:
        for signature in (
            'LVM2_member', 'linux_raid_member', 'zfs_member', 'bcache',
            'ceph_bluestore', 'ext4', 'crypto_LUKS', 'swap', 'vfat',
        ):  # fmt: skip
            with self.subTest(signature):
                tree = self.useFixture(host_tree.HostTree())
                tree.partition(tree.disk('nvme0n1', host_tree.DISK), signature)
                self.reader = sysfs_reader.SysfsReader(str(tree.root))
                self.assert_uses(
                    disk=f'its disk nvme0n1p1 has the label {signature}'
                )

    def test_label_of_unknown_type(self) -> None:
        self.tree.disk('nvme0n1', host_tree.DISK)
        self.tree.write('run/udev/data/b259:20', 'E:ID_FS_USAGE=crypto')
        self.assert_uses(disk='its disk nvme0n1 has the label crypto')

    def test_partition_table_is_no_label(self) -> None:
        self.tree.disk('nvme0n1', host_tree.DISK)
        self.tree.write('run/udev/data/b259:20', 'E:ID_PART_TABLE_TYPE=gpt')
        self.assert_uses()

    def test_labels_of_disks_that_guests_have_had(self) -> None:
        for signature, is_used in (
            ('ext4', False), ('LVM2_member', False), ('crypto_LUKS', False),
            # Used without holder or mount.
            ('zfs_member', True), ('ceph_bluestore', True), ('bcache', True),
        ):  # fmt: skip
            with self.subTest(signature):
                tree = self.useFixture(host_tree.HostTree())
                tree.disk('nvme0n1', host_tree.DISK, signature)
                tree.disk('nvme1n1', host_tree.OTHER_DISK, signature)
                reasons = in_use.reasons_in_use(
                    sysfs_reader.SysfsReader(str(tree.root)).facts(),
                    given_out={host_tree.DISK},
                )
                self.assertEqual(is_used, host_tree.DISK in reasons)
                self.assertIn(host_tree.OTHER_DISK, reasons)

    def test_labels_of_disks_that_handlers_erase(self) -> None:
        """Whatever a guest has left is erased, and what the host has not."""
        for signature in ('LVM2_member', 'zfs_member', 'ceph_bluestore'):
            with self.subTest(signature):
                tree = self.useFixture(host_tree.HostTree())
                tree.disk('nvme0n1', host_tree.DISK, signature)
                tree.disk('nvme1n1', host_tree.OTHER_DISK, signature)
                reasons = in_use.reasons_in_use(
                    sysfs_reader.SysfsReader(str(tree.root)).facts(),
                    given_out={host_tree.DISK},
                    erased={host_tree.DISK, host_tree.OTHER_DISK},
                )
                self.assertNotIn(host_tree.DISK, reasons)
                self.assertIn(host_tree.OTHER_DISK, reasons)

    def test_mounted_disk_that_a_guest_has_had(self) -> None:
        self.tree.disk('nvme0n1', host_tree.DISK, 'ext4')
        self.tree.mount('259:20', 'ext4', '/dev/nvme0n1', '/srv')
        reasons = in_use.reasons_in_use(
            self.reader.facts(),
            given_out={host_tree.DISK},
            erased={host_tree.DISK},
        )
        self.assertEqual(
            'its disk nvme0n1 is mounted at /srv', reasons[host_tree.DISK]
        )

    def test_fibre_channel_nvme(self) -> None:
        self.tree.write(
            f'{self.tree.device(host_tree.OTHER_DISK)}/class', '0x0c0400'
        )
        controller = 'sys/devices/virtual/nvme-fabrics/ctl/nvme3'
        self.tree.write(f'{controller}/transport', 'fc')
        self.tree.link('sys/class/nvme/nvme3', controller)
        self.assert_uses(
            other_disk='nvme3 is an NVMe controller over Fibre Channel'
        )

    def test_unprobed_content(self) -> None:
        self.tree.disk('nvme0n1', host_tree.DISK, None)
        self.assert_uses(
            disk='unknown whether the host uses it: /run/udev/data has '
            'no record of what is on nvme0n1'
        )

    def test_empty_drive(self) -> None:
        disk = self.tree.disk('nvme0n1', host_tree.DISK, None)
        self.tree.write(f'{disk}/size', '0')
        self.assert_uses()

    def test_btrfs_of_two_disks(self) -> None:
        self.tree.disk('nvme0n1', host_tree.DISK, 'btrfs')
        other = self.tree.disk('nvme1n1', host_tree.OTHER_DISK, 'btrfs')
        self.tree.link('sys/fs/btrfs/0123-45/devices/nvme1n1', other)
        self.tree.mount('0:40', 'btrfs', '/dev/nvme0n1', '/home')
        self.assert_uses(
            disk='its disk nvme0n1 is mounted at /home',
            other_disk='its disk nvme1n1 belongs to a mounted Btrfs',
        )

    def _multipath(self) -> None:
        subsystem = 'sys/devices/virtual/nvme-subsystem/nvme-subsys0'
        self.tree.block(f'{subsystem}/nvme0n1', '259:0')
        for number, address in enumerate(
            (host_tree.DISK, host_tree.OTHER_DISK)
        ):
            controller = f'{self.tree.device(address)}/nvme/nvme{number}'
            self.tree.link(f'{subsystem}/nvme{number}', controller)
        self.tree.mount('259:0', 'ext4', '/dev/nvme0n1', '/')

    def test_nvme_multipath(self) -> None:
        self._multipath()
        reason = 'its disk nvme0n1 is mounted at /'
        self.assert_uses(disk=reason, other_disk=reason)

    def test_nvme_multipath_by_one_controller(self) -> None:
        self._multipath()
        path = f'{self.tree.device(host_tree.OTHER_DISK)}/nvme/nvme1/nvme0c1n1'
        self.tree.write(f'{path}/hidden', '1')
        self.tree.link('sys/class/block/nvme0c1n1', path)
        self.assert_uses(other_disk='its disk nvme0n1 is mounted at /')

    def test_disk_behind_a_volume_management_device(self) -> None:
        """A VMD controller is used if one of its disks is."""
        path = f'{self.tree.device(host_tree.DISK)}/pci10000:e0/10000:e1:00.0'
        self.tree.block(f'{path}/nvme/nvme0/nvme0n1', '259:0')
        self.tree.mount('259:0', 'ext4', '/dev/nvme0n1', '/')
        self.assert_uses(disk='its disk nvme0n1 is mounted at /')

    def test_mount_without_block_device(self) -> None:
        self.tree.mount('8:1', 'ext4', '/dev/sda1', '/')
        reason = (
            'unknown whether the host uses it: sysfs shows no disks, '
            'but block device 8:1 is mounted at /'
        )
        self.assert_uses(disk=reason, other_disk=reason)

    def test_no_mount_table(self) -> None:
        (self.tree.root / 'proc/1/mountinfo').unlink()
        reason = (
            'unknown whether the host uses it: [Errno 2] No such file or '
            "directory: 'proc/1/mountinfo'"
        )
        self.assert_uses(disk=reason, other_disk=reason)


class NetworkUseTestCase(InUseTestCase):
    """Network interfaces that the host uses."""

    def setUp(self) -> None:
        super().setUp()
        self.nic = self.tree.interface('ens1', self.tree.device(host_tree.NIC))
        self.vf = self.tree.interface('ens1v0', self.tree.device(host_tree.VF))

    def test_address(self) -> None:
        """The VFs of a PF with an address are not used."""
        self.tree.network({'ens1': '192.0.2.1/24'})
        self.assert_uses(
            nic='its network interface ens1 carries the address 192.0.2.1'
        )

    def test_address_of_a_virtual_function(self) -> None:
        self.tree.network({'ens1v0': '2001:db8::1/64'})
        reason = 'its network interface ens1v0 carries the address 2001:db8::1'
        self.assert_uses(
            vf=reason,
            nic=f'its virtual function {host_tree.VF} is in use: {reason}',
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
        self.tree.network({'ens1.7': '192.0.2.1/24'})
        self.assert_uses(
            nic='its network interface ens1 carries ens1.7, which carries '
            'the address 192.0.2.1'
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

    def test_address_of_an_unknown_interface(self) -> None:
        self.tree.network({'enp9': '192.0.2.1/24'})
        reason = (
            'unknown whether the host uses it: network interface enp9 '
            'carries the address 192.0.2.1, but sysfs does not show it'
        )
        self.assert_uses(nic=reason, vf=reason)

    def test_nothing_tells_addresses(self) -> None:
        (self.tree.root / host_facts.RECORDED_NETWORK).unlink()
        reason = (
            'unknown whether the host uses it: below '
            f'{self.tree.root} there is neither proc/1/ns/net nor '
            'run/pci-passthrough/network.json'
        )
        self.assert_uses(nic=reason, vf=reason)

    def test_malformed_record(self) -> None:
        for text in ('', '{', '{}', '[]', '{"addresses": [1], "routes": []}'):
            with self.subTest(text):
                self.tree.write(host_facts.RECORDED_NETWORK, text)
                self.assertEqual(
                    {host_tree.NIC, host_tree.VF}, set(self.uses())
                )

    def test_unreadable_and_used(self) -> None:
        """A known use is a better reason than a missing fact."""
        self.tree.network({'ens1': '192.0.2.1/24'})
        (self.tree.root / 'sys/class/net/ens9').symlink_to('ens9')
        reasons = self.uses()
        self.assertIn('carries the address', reasons[host_tree.NIC])
        self.assertIn('ens9', reasons[host_tree.VF])

    def test_unknown_virtual_function(self) -> None:
        """Its PF is as unknown, not used."""
        path = self.tree.root / self.vf / 'uevent'
        path.unlink()
        path.mkdir()
        for address in (host_tree.VF, host_tree.NIC):
            self.assertThat(
                self.uses()[address], matchers.StartsWith(in_use.USE_UNKNOWN)
            )

    def test_servers_of_iscsi_and_nvme(self) -> None:
        self.tree.network({}, {'169.254.0.0/16': ['ens1']})
        self.tree.write(
            'sys/class/iscsi_connection/connection1:0/address', '169.254.0.9'
        )
        self.assert_uses(
            nic='its network interface ens1 carries the route to the server '
            'of iSCSI connection1:0'
        )
        nvme = 'sys/class/nvme/nvme0'
        self.tree.write(f'{nvme}/transport', 'tcp')
        self.tree.write(
            f'{nvme}/address', 'traddr=fe80::9,trsvcid=4420,host_iface=ens1v0'
        )
        self.assertEqual(
            'its network interface ens1v0 carries the route to the server of '
            'NVMe nvme0',
            self.uses()[host_tree.VF],
        )


class ConsoleUseTestCase(InUseTestCase):
    """The display that shows the host's console."""

    def test_framebuffer_of_the_boot_device(self) -> None:
        folder = self.tree.device(host_tree.GPU)
        self.tree.link('sys/class/graphics/fb0', f'{folder}/graphics/fb0')
        self.assert_uses()
        self.tree.write(f'{folder}/boot_vga', '1')
        self.assert_uses(gpu="it shows the host's console")

    def test_framebuffer_of_the_firmware(self) -> None:
        self.tree.write(f'{self.tree.device(host_tree.GPU)}/boot_vga', '1')
        self.assert_uses()
        self.tree.link(
            'sys/class/graphics/fb0',
            'sys/devices/platform/simple-framebuffer.0/graphics/fb0',
        )
        self.assert_uses(gpu="it shows the host's console")


class UnreadableTestCase(InUseTestCase):
    """An unreadable object makes the use of its own functions unknown."""

    def setUp(self) -> None:
        super().setUp()
        self.tree.disk('nvme0n1', host_tree.DISK)
        self.tree.disk('nvme1n1', host_tree.OTHER_DISK)
        self.tree.interface('ens1', self.tree.device(host_tree.NIC))

    def unknown(self) -> set[str]:
        """Return the devices whose use is unknown; no other use exists."""
        reasons = self.uses()
        for reason in reasons.values():
            self.assertThat(
                reason,
                matchers.StartsWith(in_use.USE_UNKNOWN),
            )
        return set(reasons)

    def make_unreadable(self, path: str) -> None:
        """Replace a file by a directory, which has no text."""
        place = self.tree.root / path
        place.unlink(missing_ok=True)
        place.mkdir(parents=True)

    def test_disk(self) -> None:
        path = f'{self.tree.device(host_tree.DISK)}/nvme/nvme0/nvme0n1/size'
        self.make_unreadable(path)
        self.assertEqual({host_tree.DISK}, self.unknown())

    def test_volume(self) -> None:
        """The disks below a volume name it as their holder."""
        volume = self.tree.block('sys/devices/virtual/block/dm-0', '253:0')
        self.make_unreadable(f'{volume}/size')
        self.assert_uses()

    def test_nvme_multipath(self) -> None:
        """The path of a multipath device does not show its controllers."""
        subsystem = 'sys/devices/virtual/nvme-subsystem/nvme-subsys0'
        path = self.tree.block(f'{subsystem}/nvme9n1', '259:0')
        self.make_unreadable(f'{path}/size')
        self.assertEqual(
            {host_tree.DISK, host_tree.OTHER_DISK}, self.unknown()
        )

    def test_unresolvable_disk(self) -> None:
        self._loop('sys/class/block/nvme2n1')
        self.assertEqual(
            {host_tree.DISK, host_tree.OTHER_DISK}, self.unknown()
        )

    def test_interface(self) -> None:
        path = f'{self.tree.device(host_tree.NIC)}/net/ens1/uevent'
        self.make_unreadable(path)
        self.assertEqual({host_tree.NIC}, self.unknown())

    def test_tap(self) -> None:
        tap = self.tree.interface('tap0', 'sys/devices/virtual')
        self.make_unreadable(f'{tap}/uevent')
        self.assertEqual(set(), self.unknown())

    def test_unresolvable_interface(self) -> None:
        self._loop('sys/class/net/ens9')
        self.assertEqual({host_tree.NIC, host_tree.VF}, self.unknown())

    def test_function(self) -> None:
        self.make_unreadable(f'{self.tree.device(host_tree.GPU)}/boot_vga')
        self.assertEqual({host_tree.GPU}, self.unknown())

    def test_changed_while_it_was_read(self) -> None:
        """An interface without one of its files has changed, not vanished."""
        folder = self.tree.root / self.tree.device(host_tree.NIC)
        (folder / 'net/ens1/master').symlink_to('br0')
        read_link = chroot_files.ChrootFiles.link

        def link_is_gone(files: chroot_files.ChrootFiles, path: str) -> str:
            if path.endswith('/master'):
                raise FileNotFoundError(path)
            return read_link(files, path)

        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.chroot_files.ChrootFiles.link',
                link_is_gone,
            )
        )
        self.assertEqual({host_tree.NIC}, self.unknown())

    def _loop(self, path: str) -> None:
        place = self.tree.root / path
        place.symlink_to(place.name)
