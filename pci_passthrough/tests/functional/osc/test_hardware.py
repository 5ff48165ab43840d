# SPDX-License-Identifier: Apache-2.0
"""``openstack pci device``, ``pool`` and ``host``."""

from typing import Any

from pci_passthrough.tests.functional.osc import base

_FIRST = 'cmp1/0000:65:00.0'
_SECOND = 'cmp1/0000:66:00.0'


class DeviceTestCase(base.OscTestCase):
    def setUp(self) -> None:
        super().setUp()
        [self.held] = self.add_held_gpus()

    def listed(self, *words: str) -> list[str]:
        outcome = self.admin(
            'pci device list', '-f', 'value', '-c', 'Host', '-c', 'Address',
            *words,
        )  # fmt: skip
        lines = self.succeed(outcome).stdout.splitlines()
        return [line.replace(' ', '/') for line in lines]

    def show(self, which: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.json_of(
            self.admin('pci device show', which, '-f', 'json')
        )
        return shown

    def test_list(self) -> None:
        table = self.succeed(self.admin('pci device list', '--long')).stdout
        self.assertIn('| available | -', table)
        self.assertIn(f'| claimed   | {self.held.instance_uuid} |', table)
        for words, listed in (
            (('--host', 'cmp1'), [_FIRST, _SECOND]),
            (('--host', 'cmp1', '--limit', '1'), [_FIRST]),
            (('--host', 'cmp1', '--marker', self.held.uuid), [_SECOND]),
            (('--host', 'cmp1', '--state', 'available'), [_SECOND]),
            (('--state', 'claimed', '--state', 'allocated'), [_FIRST]),
            (('--instance', self.held.instance_uuid), [_FIRST]),
            (('--held-by', 'bigGPU'), [_FIRST]),
            (('--pci-flavor', 'bigGPU', '--limit', '1'), [_FIRST]),
            (('--vendor-id', '8086'), []),
            (('--address', '0000:66:00.0', '--host', 'cmp1'), [_SECOND]),
            (('--numa-node', '1'), []),
            (('--product-id', '2330', '--dev-type', 'type-VF'), []),
        ):
            self.assertEqual(listed, self.listed(*words), str(words))
        self.assert_error(self.member('pci device list'), 'HTTP 403')

    def test_show(self) -> None:
        by_address = self.show(_FIRST)
        self.assertEqual(by_address, self.show(self.held.uuid))
        self.assertEqual('claimed', by_address['state'])
        self.assertEqual({}, by_address['extra_info'])
        table = self.succeed(self.admin('pci device show', _FIRST)).stdout
        self.assertIn('| disabled_reason     | -', table)
        self.assert_error(self.admin('pci device show', 'x'), 'HTTP 404')
        self.assert_error(self.admin('pci device show', 'x/y'), 'host x')

    def test_set_and_history(self) -> None:
        for words, state in (
            (('--disable', '--reason', 'broken fan'), 'disabled'),
            (('--enable',), 'available'),
            (('--quarantine', '--reason', 'noise'), 'quarantined'),
            (('--release',), 'available'),
        ):
            quiet = self.admin('pci device set', _SECOND, *words)
            self.assertEqual('', self.succeed(quiet).stdout)
            device = self.show(_SECOND)
            self.assertEqual(state, device['state'])
        for which in (_SECOND, device['uuid']):
            events = self.json_of(
                self.admin('pci device history', which, '-f', 'json')
            )
            self.assertEqual(
                ['appear', 'disable', 'enable', 'quarantine', 'release'],
                [event['Action'] for event in events],
            )
            self.assertEqual('broken fan', events[1]['Reason'])
        table = self.succeed(
            self.admin('pci device history', _SECOND, '--limit', '1')
        ).stdout
        self.assertIn('| release | quarantined | available |', table)
        self.assertNotIn('appear', table)

    def test_refused(self) -> None:
        self.assert_error(
            self.admin('pci device set', _SECOND, '--disable'), '--reason'
        )
        quarantine = ('--quarantine', '--reason', 'x')
        self.assert_error(
            self.admin('pci device set', _FIRST, *quarantine), 'HTTP 409'
        )
        self.assert_error(
            self.member('pci device set', self.held.uuid, *quarantine),
            'HTTP 403',
        )
        self.assert_error(self.admin('pci device history', 'x'), 'HTTP 404')
        for words in ((), ('--enable', '--disable')):
            outcome = self.admin('pci device set', _FIRST, *words)
            self.assertEqual(2, outcome.status)


class PoolTestCase(base.OscTestCase):
    def test_list(self) -> None:
        self.add_held_gpus()
        pools = self.json_of(
            self.admin('pci pool list', '--long', '-f', 'json')
        )
        self.assertEqual(
            [('cmp1', 1, 2), ('cmp2', 2, 2)],
            [(pool['Host'], pool['Free'], pool['Total']) for pool in pools],
        )
        table = self.succeed(
            self.admin('pci pool list', '--marker', pools[0]['ID'])
        ).stdout
        self.assertIn('| cmp2 | type-PCI | 10de      | 2330       |', table)
        self.assertNotIn('cmp1', table)
        for words, count in (
            (('--host', 'cmp1', '--host', 'cmp2'), 2),
            (('--host', 'cmp1', '--pci-flavor', 'bigGPU'), 1),
            (('--limit', '1'), 1),
            (('--vendor-id', '8086'), 0),
        ):
            outcome = self.admin('pci pool list', '-f', 'json', *words)
            self.assertEqual(count, len(self.json_of(outcome)), str(words))
        self.assert_error(self.member('pci pool list'), 'HTTP 403')
        self.assert_error(
            self.admin('pci pool list', '--pci-flavor', 'x'), 'HTTP 404'
        )


class HostTestCase(base.OscTestCase):
    def test_list(self) -> None:
        self.add_gpus()
        [host, _] = self.json_of(
            self.admin('pci host list', '--long', '-f', 'json')
        )
        self.assertEqual(
            ('cmp1', 'up', 'up', 2),
            (
                host['Host'],
                host['State'],
                host['Tracker State'],
                host['Devices'],
            ),
        )
        table = self.succeed(self.admin('pci host list')).stdout
        self.assertIn('| cmp2 | up    | up            |       2 |', table)
        for words, count in (
            (('--host', 'cmp2'), 1),
            (('--state', 'down'), 0),
            (('--marker', 'cmp1', '--limit', '5'), 1),
        ):
            outcome = self.admin('pci host list', '-f', 'json', *words)
            self.assertEqual(count, len(self.json_of(outcome)), str(words))
        self.assert_error(self.member('pci host list'), 'HTTP 403')
