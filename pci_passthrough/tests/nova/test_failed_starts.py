# SPDX-License-Identifier: Apache-2.0
"""A device with which no guest starts fails one instance, not all of them.

Two hosts have four GPUs; libvirt cannot start a guest with one of them.
"""

from typing import Any

from nova.tests.fixtures import libvirt as fakelibvirt

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
