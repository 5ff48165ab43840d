# SPDX-License-Identifier: Apache-2.0
"""Which ports follow devices that have moved, without a cloud."""

import types
from typing import Any

import fixtures
import testtools

from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import network
from pci_passthrough.nova_plugin.compute import nic_ports

_OLD, _NEW, _OTHER = '0000:01:00.1', '0000:02:00.1', '0000:03:00.1'


class FollowTest(testtools.TestCase):
    """A server has a NIC by a PCI flavor; its device is at ``_NEW``."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        #: what Neutron knows of the port
        self.profile: dict[str, Any] = {'pci_slot': _OLD, 'trusted': 'true'}
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{network.__name__}.admin_client', lambda _context: self
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(f'{requests.__name__}.for_pci_flavors', list)
        )
        manager = types.SimpleNamespace(network_api=self)
        self.driver = types.SimpleNamespace(
            virtapi=types.SimpleNamespace(_compute=manager)
        )

    def show_port(self, port_id: str, fields: list[str]) -> dict[str, Any]:
        self.assertEqual(('nic', ['binding:profile']), (port_id, fields))
        return {'port': {'binding:profile': self.profile}}

    def update_port(self, port_id: str, body: dict[str, Any]) -> None:
        self.assertEqual('nic', port_id)
        self.profile = body['port']['binding:profile']

    def _get_pci_device_profile(self, row: Any) -> dict[str, Any]:
        return {'pci_slot': row.address}

    def follow(self, vif: dict[str, Any], *rows: str) -> list[str]:
        """Return the reasons not to start the guest."""
        request = types.SimpleNamespace(request_id='r', requester_id='nic')
        instance = types.SimpleNamespace(
            uuid='i', pci_requests=types.SimpleNamespace(requests=[request])
        )
        return list(
            nic_ports.follow(
                self.driver,
                None,
                instance,
                [vif],
                [
                    types.SimpleNamespace(request_id='r', address=address)
                    for address in rows
                ],
                [objects.PciDevice(address=_NEW)],
            )
        )

    def test_bound_again(self) -> None:
        # Nova has read the port before it became trusted.
        vif = {'id': 'nic', 'profile': {'pci_slot': _OLD}}
        self.assertEqual([], self.follow(vif, _NEW))
        expected = {'pci_slot': _NEW, 'trusted': 'true'}
        self.assertEqual(expected, self.profile)
        self.assertEqual(expected, vif['profile'])

    def test_in_its_place(self) -> None:
        """Also during a resize within the host, with two rows."""
        vif = {'id': 'nic', 'profile': {'pci_slot': _NEW}}
        for rows in ([_NEW], [_OTHER, _NEW], []):
            self.assertEqual([], self.follow(vif, *rows))
        self.assertEqual(_OLD, self.profile['pci_slot'])

    def test_not_told_which(self) -> None:
        vif = {'id': 'nic', 'profile': {'pci_slot': _OLD}}
        for rows in ([_OTHER, _NEW], []):
            [reason] = self.follow(vif, *rows)
            self.assertIn(f'port nic is bound to {_OLD}', reason)

    def test_other_ports(self) -> None:
        """A native device, or an accelerator of Cyborg, is not ours."""
        for vif in (
            {'id': 'other', 'profile': {'pci_slot': _OLD, 'arq_uuid': 'a'}},
            {'id': 'nic', 'profile': None},
            {'id': 'nic', 'profile': {}},
        ):
            self.assertEqual([], self.follow(vif, _NEW))
        self.assertEqual(_OLD, self.profile['pci_slot'])


class RecordTest(testtools.TestCase):
    """The answer to a save has replaced requests that named their ports."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(f'{requests.__name__}.for_pci_flavors', list)
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{requests.__name__}.is_for_nic',
                lambda request: request.request_id != 'gpu',
            )
        )

    def test_by_address(self) -> None:
        named = [('a', None), ('b', 'known'), ('gpu', None), ('c', None)]
        instance = types.SimpleNamespace(
            pci_requests=types.SimpleNamespace(
                requests=[
                    types.SimpleNamespace(request_id=name, requester_id=port)
                    for name, port in named
                ]
            )
        )
        rows = [
            types.SimpleNamespace(request_id=name, address=address)
            for name, address in (
                ('a', _OLD),
                ('b', _NEW),
                ('gpu', _OTHER),
                ('c', '0000:05:00.1'),
            )
        ]
        vifs: list[dict[str, Any]] = [
            {'id': 'other', 'profile': None},
            {'id': 'b2', 'profile': {'pci_slot': _NEW}},
            {'id': 'port', 'profile': {'pci_slot': _OLD}},
            {'id': 'x', 'profile': {'pci_slot': _OTHER}},
        ]
        nic_ports.record(instance, vifs, rows)
        self.assertEqual(
            {'a': 'port', 'b': 'known', 'gpu': None, 'c': None},
            {
                request.request_id: request.requester_id
                for request in instance.pci_requests.requests
            },
        )
