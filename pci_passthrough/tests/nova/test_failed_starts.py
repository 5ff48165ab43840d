# SPDX-License-Identifier: Apache-2.0
"""A device with which no guest starts fails one instance, not all of them.

Two hosts have four GPUs; libvirt cannot start a guest with one of them.
"""

import pathlib
from typing import Any

import fixtures
from nova.tests.fixtures import libvirt as fakelibvirt

from pci_passthrough.conf.nova import GROUP
from pci_passthrough.nova_plugin.compute import guest_start
from pci_passthrough.objects import fields
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.nova import base

_BAD = '0000:81:01.0'
_TEXT = f'internal error: vfio {_BAD}: error opening /dev/vfio/7: busy'


class FailedStartTest(base.NovaTest):
    def setUp(self) -> None:
        super().setUp()
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.create_pci_flavor('gpu')
        self.is_broken = True
        original = fakelibvirt.Domain.createWithFlags

        def create(domain: Any, flags: int) -> None:
            xml = domain.XMLDesc(0).replace('"', "'")
            if self.is_broken and "bus='0x81' slot='0x01'" in xml:
                raise fakelibvirt.libvirtError(_TEXT)
            original(domain, flags)

        self.patch(fakelibvirt.Domain, 'createWithFlags', create)

    def bad(self) -> Any:
        return lookup.get(self.db, f'c0/{_BAD}')

    def test_poison_device(self) -> None:
        """One bad of four GPUs on two hosts; all boots become ACTIVE."""
        self.start_host('c0', 2)
        self.start_host('c1', 2, bus=0x82)
        flavor = self.create_flavor('gpu')
        servers = [self.boot(flavor_id=flavor) for _ in range(3)]
        used = []
        for server in servers:
            host = self.host_of(server)
            used += self.assert_guest_has(host, server, 1)
        self.assertNotIn(_BAD, used)
        # At most once: after that, another device and host were better. Equal
        # hosts are chosen at random, so perhaps nobody has got it yet.
        if not self.wire.calls.count('start_failed'):
            self.boot_in_vain(flavor_id=flavor)
        self.assertEqual(1, self.wire.calls.count('start_failed'))
        bad = self.bad()
        self.assertEqual(
            ('available', 1, _TEXT),
            (bad.state, bad.failed_starts, bad.start_failure),
        )
        for server in servers:
            self._delete_server(server)
        self.assert_clean('c0', 'c1')
        for _ in range(3):
            self._delete_server(self.boot(flavor_id=flavor))
        self.assertEqual(1, self.wire.calls.count('start_failed'))

    def test_quarantine_and_recovery(self) -> None:
        self.start_host('c0', 1)
        flavor = self.create_flavor('gpu')
        self.boot_in_vain(flavor_id=flavor)
        self.assert_clean('c0')
        self.assertEqual(1, self.bad().failed_starts)
        self.is_broken = False
        server = self.boot(flavor_id=flavor)
        self.assertEqual(1, self.wire.calls.count('guest_started'))
        self.assertEqual(0, self.bad().failed_starts)
        self._delete_server(server)
        self.assert_clean('c0')
        self.is_broken = True
        for _ in range(3):
            self.boot_in_vain(flavor_id=flavor)
            self.assert_clean('c0')
        bad = self.bad()
        self.assertEqual(fields.DeviceStatus.QUARANTINED, bad.status)
        self.assertIn(_TEXT, bad.quarantine_reason)
        self.assertIn(_TEXT, str(ledger.history(self.db, bad.uuid)[-1].reason))
        server = self.boot_in_vain(flavor_id=flavor)
        self.assertIn('No valid host', server['fault']['message'])

    def test_card_that_has_vanished(self) -> None:
        """The log names the device, not only libvirt's error."""
        # Otherwise the agent's verdict refuses the reboot before libvirt.
        self.flags(verdict_dir='', group='pci_passthrough')
        self.start_host('c0', 1)
        self.is_broken = False
        server = self.boot('gpu')
        self.is_broken = True
        self.report('c0', [])
        self.refused(self.hard_reboot, server)
        self.assertIn(
            f'Not starting the guest of instance {server["id"]}: c0 does not '
            f'have {_BAD} any more',
            self.log(),
        )
        fault = self.admin_api.get_server(server['id'])['fault']
        self.assertIn('not at its place', fault['message'])

    def start_two_hosts(self, **tags: Any) -> None:
        """Start c0, whose only GPU is the bad one, and c1."""
        self.start_host('c0', 1, **tags)
        self.start_host('c1', 1, bus=0x82, **tags)

    def test_host_comes_last(self) -> None:
        """No weigher of Nova outweighs a failed start."""
        self.start_two_hosts()
        self.boot_in_vain('gpu', host='c0')
        # Now c0 has more free memory, disk and CPUs than c1.
        self.boot(None, host='c1')
        for multiplier in (1.0, -1.0):
            self.flags(pci_flavor_weight_multiplier=multiplier, group=GROUP)
            server = self.boot('gpu')
            self.assertEqual('c1', self.host_of(server))
            self._delete_server(server)
            self.assert_clean('c0', 'c1')
        self.assertEqual(1, self.bad().failed_starts)

    def test_cold_migration(self) -> None:
        """The guest cannot start at the destination."""
        self.end_guests_of_cold_migrations()
        self.start_two_hosts()
        server = self.boot('gpu', host='c1')
        # In these tests Nova's API waits for the whole move.
        self.refused(
            self.api.post_server_action, server['id'], {'migrate': None}
        )
        server = self._wait_for_state_change(server, 'ERROR')
        self._delete_server(server)
        self.assert_clean('c0', 'c1')
        bad = self.bad()
        self.assertEqual((1, _TEXT), (bad.failed_starts, bad.start_failure))

    def test_migration_of_a_stopped_server(self) -> None:
        """A guest that is not started says nothing about its device."""
        self.start_two_hosts()
        self.boot_in_vain('gpu', host='c0')
        self.assert_clean('c0')
        server = self._stop_server(self.boot('gpu', host='c1'))
        server = self._migrate_server(server)
        self.api.post_server_action(server['id'], {'confirmResize': None})
        server = self._wait_for_state_change(server, 'SHUTOFF')
        self.assert_consistent('c0', server, 1)
        self.assertEqual(1, self.wire.calls.count('start_failed'))
        self.assertEqual(0, self.wire.calls.count('guest_started'))
        self.assertEqual(1, self.bad().failed_starts)
        self.is_broken = False
        self._start_server(server)
        self.assertEqual(0, self.bad().failed_starts)

    def migrate_live_in_vain(self, text: str) -> None:
        """Migrate a server from c1 to c0, where libvirt raises an error."""
        self.flags(device_detach_timeout='1', group='libvirt')
        self.create_pci_flavor('lm', {**base.GPU, 'e.live_migratable': 'true'})
        self.start_two_hosts(live_migratable='true')
        server = self.boot('lm', host='c1')

        def fail(*_args: Any, **_kwargs: Any) -> None:
            raise fakelibvirt.libvirtError(text)

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.migrateToURI3', fail
            )
        )
        self._live_migrate(server, 'error', 'ERROR', wait_for_fault_key=False)
        self.run_periodic_tasks()
        self.assert_clean('c0')
        self.assert_guest_has('c1', server, 1)

    def test_live_migration(self) -> None:
        """QEMU cannot start at the destination."""
        self.migrate_live_in_vain(_TEXT)
        bad = self.bad()
        self.assertEqual((1, _TEXT), (bad.failed_starts, bad.start_failure))

    def test_live_migration_that_fails_otherwise(self) -> None:
        """No device of the destination is named."""
        self.migrate_live_in_vain(f'no memory for 1{_BAD}')
        self.assertEqual(0, self.wire.calls.count('start_failed'))
        self.assertEqual(0, self.bad().failed_starts)


class UnopenableTest(base.NovaTest):
    """A GPU is bound to vfio-pci, in the IOMMU group 7.

    The host's files are in a folder; libvirt, which is Nova's fixture, would
    start any guest.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(guest_start, '_known', guest_start._KnownDevices())
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.patch(guest_start, '_ROOT', str(self.root))
        function = self.root / 'sys/bus/pci/devices' / _BAD
        function.mkdir(parents=True)
        (function / 'driver').symlink_to('../drivers/vfio-pci')
        (function / 'iommu_group').symlink_to('../../kernel/iommu_groups/7')
        self.nodes = self.root / 'dev/vfio'
        self.nodes.mkdir(parents=True)
        for node in ('vfio', '7', '8'):
            (self.nodes / node).touch()
        self.create_pci_flavor('gpu')
        self.start_host('c0', 1)
        self.flavor = self.create_flavor('gpu')

    def open(self, process: int, command: str, *arguments: str) -> None:
        """Let a process have the node of the group open."""
        folder = self.root / f'proc/{process}'
        (folder / 'fd').mkdir(parents=True)
        (folder / 'fd/9').symlink_to('/dev/vfio/7')
        (folder / 'comm').write_text(f'{command}\n')
        (folder / 'cmdline').write_text('\0'.join((command, *arguments, '')))

    def bad(self) -> Any:
        return lookup.get(self.db, f'c0/{_BAD}')

    def assert_refused(self, text: str) -> None:
        """Check that no guest starts, and that it is a failed start."""
        server = self.boot_in_vain(flavor_id=self.flavor)
        self.assertNotIn('process', server['fault']['message'])
        self.assertEqual(
            [], self.computes['c0'].driver._host.list_guests(False)
        )
        self.assert_clean('c0')
        bad = self.bad()
        self.assertEqual((1, text), (bad.failed_starts, bad.start_failure))
        history = ledger.history(self.db, bad.uuid)
        self.assertIn(
            ('start-failed', text),
            [(entry.action, entry.reason) for entry in history],
        )

    def test_node_that_another_process_has_open(self) -> None:
        self.open(42, 'dpdk-testpmd')
        self.assert_refused(
            f'VFIO cannot open {_BAD}: process 42 (dpdk-testpmd) has '
            '/dev/vfio/7 open'
        )

    def test_node_that_is_absent(self) -> None:
        (self.nodes / '7').unlink()
        self.assert_refused(
            f'VFIO cannot open {_BAD}: it is bound to vfio-pci, and '
            '/dev/vfio/7 does not exist'
        )

    def test_hard_reboot(self) -> None:
        """The guest that runs has its node open; then another process has."""
        server = self.boot(flavor_id=self.flavor)
        self.open(41, 'qemu-system-x86', '-uuid', server['id'])
        self.hard_reboot(server)
        self.assert_guest_has('c0', server, 1)
        self.assertEqual(0, self.wire.calls.count('start_failed'))
        (self.root / 'proc/41/fd/9').unlink()
        self.open(42, 'vfio-tool')
        self.hard_reboot(server)
        self.assertEqual(1, self.wire.calls.count('start_failed'))
        # For Nova, a reboot that fails while the guest runs has succeeded.
        self.assert_guest_has('c0', server, 1)
        (self.root / 'proc/42/fd/9').unlink()
        self.hard_reboot(server)
        self.assertEqual(1, self.wire.calls.count('guest_started'))
        self.assertIsNone(self.bad().start_failure)

    def test_conductor_does_not_answer(self) -> None:
        """What the host shows is enough to refuse a start."""
        server = self.boot(flavor_id=self.flavor)
        self.open(42, 'vfio-tool')
        starts = []
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.createWithFlags',
                lambda *args: starts.append(args),
            )
        )
        self.wire.is_down = True
        self.hard_reboot(server)
        self.wire.is_down = False
        self.assertEqual([], starts)
