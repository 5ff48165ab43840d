# SPDX-License-Identifier: Apache-2.0
"""The RPC calls of the REST API, through a real broker."""

import pathlib
from typing import Any

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import wire
from pci_passthrough.tests.unit.rpc import driver

_INSTANCE = '5b0b5f2c-6a3e-4e5a-9d0e-0d6f3c1f7a10'
_MATCH: list[dict[str, Any]] = [{'class': 'display'}]


class ApiCallsTest(base.ServicesTestCase):
    """Through a real broker, errors too."""

    def setUp(self) -> None:
        super().setUp()
        host = self.write_host('compute-1', nics=1, gpus=2)
        self.start_conductor()
        self.start_agent(host)
        self.wait_for_report(host.name)
        self.calls: rpc.ConductorClient = self.client()

    def test_what_administrators_do(self) -> None:
        created = self.calls.create_pci_flavor(
            'big', 'p', {'match': _MATCH, 'is_public': False}, 'me'
        )
        kept = flavor_lookup.get(self.db, 'big')
        self.assertEqual(created.uuid, kept.uuid)
        self.assertEqual(('p', 1), (created.project_id, created.generation))
        shared = self.calls.share_pci_flavor('big', 'q', True, 'me', 1)
        self.assertEqual((['q'], 2), (shared.access, shared.generation))
        changed = self.calls.update_pci_flavor(
            created.uuid, {'description': '80 GiB'}, 2, False, 'me'
        )
        self.assertEqual(
            ('80 GiB', 3), (changed.description, changed.generation)
        )
        self.assertEqual(
            0, self.calls.delete_pci_flavor('big', 3, False, 'me')
        )
        self.assertRaises(
            exception.PciFlavorNotFound, flavor_lookup.get, self.db, 'big'
        )
        [device, *_] = lookup.get_all(self.db, 'compute-1')
        after = self.calls.set_device(device.uuid, 'disable', 'hot', 'me (x)')
        self.assertEqual('disabled', after.state)
        event = ledger.history(self.db, device.uuid)[-1]
        self.assertEqual(
            ('disable', 'me (x)', 'hot'),
            (event.action, event.actor, event.reason),
        )

    def test_errors_arrive_as_they_are(self) -> None:
        request = base.request(1, 'gpu')
        self.calls.claim(
            claims.ClaimRequest('compute-1', _INSTANCE, [request], 'nova')
        )
        for error, method, arguments in (
            (
                exception.InvalidPciFlavor,
                'create_pci_flavor',
                ('new', None, {'match': []}),
            ),
            (
                exception.InvalidPciFlavor,
                'create_pci_flavor',
                ('new', None, {'db': 1, 'match': _MATCH}),
            ),
            (
                exception.PciFlavorExists,
                'create_pci_flavor',
                ('gpu', None, {'match': _MATCH}),
            ),
            (
                exception.PciFlavorChanged,
                'update_pci_flavor',
                ('gpu', {'description': 'x'}, 7, False),
            ),
            (
                exception.InvalidPciFlavor,
                'update_pci_flavor',
                ('gpu', {'description': '\ud800'}, 1, False),
            ),
            (
                exception.InvalidPciFlavor,
                'delete_pci_flavor',
                ('gpu', 10**30, False),
            ),
            (
                exception.PciFlavorNotFound,
                'share_pci_flavor',
                ('nope', 'p', True),
            ),
            (
                exception.PciDeviceNotFound,
                'set_device',
                ('compute-1/nope\ud800', 'enable', ''),
            ),
            (exception.Invalid, 'set_device', ('x', 'explode', 'why')),
            (exception.HostIsUp, 'forget_host', ('compute-1', False, '')),
            (exception.HostNotFound, 'forget_host', ('nope', False, '')),
        ):
            self.assertRaises(
                error, getattr(self.calls, method), *arguments, 'me'
            )
        used = self.assertRaises(
            exception.PciFlavorInUse,
            self.calls.delete_pci_flavor,
            'gpu',
            None,
            False,
            'me',
        )
        self.assertEqual((1, [_INSTANCE]), (used.holders, used.instances))
        self.assertRaises(
            exception.PciFlavorChanged,
            self.calls.share_pci_flavor,
            'gpu',
            'p',
            True,
            'me',
            7,
        )
        self.assertEqual(
            1, self.calls.delete_pci_flavor('gpu', None, True, 'me')
        )
        taken = self.assertRaises(
            exception.PciFlavorExists,
            self.calls.create_pci_flavor,
            'gpu',
            None,
            {'match': _MATCH},
            'me',
        )
        self.assertEqual(1, taken.holders)
        [held] = lookup.get_all(self.db, instance_uuid=_INSTANCE)
        conflict = self.assertRaises(
            exception.DeviceStateConflict,
            self.calls.set_device,
            held.uuid,
            'quarantine',
            'odd',
            'me',
        )
        self.assertEqual('claimed', conflict.state)
        self.calls.set_device(held.uuid, 'disable', 'hot', 'me')
        conflict = self.assertRaises(
            exception.DeviceStateConflict,
            self.calls.set_device,
            held.uuid,
            'disable',
            'loud',
            'you',
        )
        self.assertEqual('hot', conflict.reason)
        self.assertIn('(hot)', conflict.text)


class LogTest(testtools.TestCase):
    """The conductor logs each change and its actor."""

    def test_every_change(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        endpoint = wire.Endpoint(folder)
        self.addCleanup(endpoint.db.close)
        client, _ = driver.client(endpoint.answer)
        self.addCleanup(client.close)
        log = self.useFixture(fixtures.FakeLogger())
        flavor: objects.PciFlavor = client.create_pci_flavor(
            'big', None, {'match': _MATCH}, 'joe'
        )
        client.update_pci_flavor('big', {'state': 'disabled'}, 1, True, 'joe')
        client.share_pci_flavor('big', 'p', True, 'joe')
        client.share_pci_flavor('big', 'p', False, 'joe')
        client.delete_pci_flavor('big', None, False, 'joe')
        big = f'PCI flavor big ({flavor.uuid})'
        for text in (
            f'joe created {big}',
            f'joe changed with force state of {big}; generation 2',
            f'joe gave project p access to {big}',
            f'joe denied project p access to {big}',
            'joe deleted PCI flavor big; 0 devices are still held by it',
        ):
            self.assertIn(text, log.output)
