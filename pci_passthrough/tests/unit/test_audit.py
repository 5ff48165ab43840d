# SPDX-License-Identifier: Apache-2.0
"""Tests of comparing held devices with Nova's servers."""

from typing import Any

import testtools

from pci_passthrough import audit
from pci_passthrough import objects

_GPU = '0000:81:00.0'
_INSTANCE = '11111111-1111-4111-8111-111111111111'


def _device(host: str = 'c0', **changes: Any) -> objects.PciDevice:
    values = {
        'host': host,
        'address': _GPU,
        'instance_uuid': _INSTANCE,
        'status': 'allocated',
        'project_id': 'p',
    }
    return objects.PciDevice(**values | changes)


def _server(**changes: Any) -> audit.Server:
    values = {
        'uuid': _INSTANCE,
        'status': 'ACTIVE',
        'host': 'c0',
        'task': None,
        'project_id': 'p',
        'devices': 1,
    }
    return audit.Server(**values | changes)


class CompareTest(testtools.TestCase):
    def kinds(
        self,
        devices: list[objects.PciDevice],
        server: audit.Server | None,
    ) -> list[str]:
        return [
            difference.kind.value
            for difference in audit.compare(devices, {_INSTANCE: server})
        ]

    def test_nothing_differs(self) -> None:
        for devices, server in (
            ([_device()], _server()),
            ([_device(project_id=None)], _server()),
            ([_device()], _server(project_id=None)),
            # A NIC, which no flavor asks for.
            ([_device(), _device(address='0000:82:00.0')], _server()),
            ([], _server(devices=0)),
            ([], _server(status='SHELVED_OFFLOADED', host=None)),
            ([], _server(status='ERROR')),
        ):
            self.assertEqual([], self.kinds(devices, server))

    def test_what_differs(self) -> None:
        for devices, server, kind in (
            ([_device()], None, 'unknown instance'),
            ([_device()], _server(host='c1', devices=0), 'other host'),
            ([_device()], _server(status='ERROR', host=None), 'other host'),
            ([_device(status='claimed')], _server(), 'unsettled claim'),
            ([_device(project_id='q')], _server(), 'other project'),
            ([], _server(), 'too few devices'),
            ([_device()], _server(devices=2), 'too few devices'),
        ):
            self.assertEqual([kind], self.kinds(devices, server))

    def test_nothing_is_said_while_nova_works_on_a_server(self) -> None:
        for changes in (
            {'status': 'BUILD', 'host': None, 'task': 'spawning'},
            {'status': 'RESIZE', 'task': 'resize_migrating'},
            {'status': 'VERIFY_RESIZE'},
            {'status': 'ACTIVE', 'task': 'deleting'},
            # Its cell is down.
            {'status': 'UNKNOWN', 'host': None, 'project_id': None},
        ):
            server = _server(**changes)
            for devices in ([], [_device()], [_device('c1')]):
                self.assertEqual([], self.kinds(devices, server))

    def test_nothing_is_said_of_servers_that_were_not_asked_for(self) -> None:
        self.assertEqual([], list(audit.compare([_device()], {})))

    def test_each_kind_is_explained(self) -> None:
        for kind in audit.Kind:
            self.assertTrue(kind.meaning)
            self.assertTrue(kind.remedy)
