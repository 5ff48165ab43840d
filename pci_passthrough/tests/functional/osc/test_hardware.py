# SPDX-License-Identifier: Apache-2.0
"""``openstack pci device``, ``pool`` and ``host``."""

from typing import Any

from pci_passthrough.osc.v1 import holders
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import reports
from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import nova
from pci_passthrough.tests.functional.osc import shells
from pci_passthrough.tests.functional.store import base as store_base

_FIRST = 'cmp1/0000:65:00.0'
_SECOND = 'cmp1/0000:66:00.0'


class GpuTestCase(base.OscTestCase):
    """An instance holds one of the GPUs of a host."""

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


class ForgottenHostTestCase(GpuTestCase):
    def assert_failed(self, outcome: shells.Outcome, *texts: str) -> None:
        """Check the errors: a line for each host, and how many failed."""
        self.assertEqual((1, ''), (outcome.status, outcome.stdout))
        for text in texts:
            self.assertIn(text, outcome.stderr)

    def test_delete(self) -> None:
        self.api.add_host('gone', [store_base.gpu(1)])
        self.assert_failed(self.admin('pci host delete', 'cmp1'), 'host.up')
        with self.api.db.write() as connection:
            connection.execute(
                models.compute_nodes.update().values(
                    last_report_at=database.now().replace(year=2020),
                    tracker_seen_at=None,
                )
            )
        self.assert_failed(
            self.admin('pci host delete', 'cmp1', 'gone', 'nope'),
            f'0000:65:00.0 (instance {self.held.instance_uuid})',
            'host.in_use',
            "host 'nope' is unknown",
            '2 of 3 hosts failed to delete',
        )
        force = ('pci host delete', 'cmp1', '--force')
        self.assert_failed(self.admin(*force), 'takes a reason')
        self.assert_failed(self.member(*force), 'HTTP 403')
        self.succeed(self.admin(*force, '--reason', 'burned & gone'))
        left = self.admin('pci host list', '-f', 'value', '-c', 'Host')
        self.assertEqual('cmp2\n', left.stdout)
        history = self.admin('pci device history', self.held.uuid).stdout
        self.assertIn('the host was forgotten: burned & gone', history)


class HolderTestCase(GpuTestCase):
    """Names of the servers that hold devices, from Nova."""

    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova.NovaFixture())
        self.owner = str(self.held.instance_uuid)
        self.nova.held[self.owner] = {
            'id': self.owner,
            'name': 'trainer',
            'tenant_id': base.OTHER_PROJECT,
        }

    def holders(
        self, *words: str, endpoints: Any = None
    ) -> list[dict[str, Any]]:
        """Return the listed devices that are held."""
        keystone = self.useFixture(
            cloud.CloudFixture(
                {'ops': base.OTHER_PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url}
                | (self.nova.endpoints if endpoints is None else endpoints),
            )
        )
        outcome = self.shell.openstack(
            *keystone.login('admin', 'ops'),
            'pci', 'device', 'list', '-f', 'json', *words,
        )  # fmt: skip
        rows: list[dict[str, Any]] = self.json_of(outcome)
        return [row for row in rows if row['Instance'] is not None]

    def test_name_and_project(self) -> None:
        for words in ((), ('--long',)):
            [row] = self.holders(*words)
            self.assertEqual(
                ('bigGPU', 'trainer', base.OTHER_PROJECT),
                (row['PCI Flavor'], row['Server'], row['Project ID']),
            )
        self.assertEqual(0, self.nova.listed)

    def test_many_holders(self) -> None:
        self.patch(holders, '_FEW', 0)
        [row] = self.holders()
        self.assertEqual('trainer', row['Server'])
        self.assertEqual(1, self.nova.listed)

    def test_of_a_server(self) -> None:
        for server in ('trainer', self.owner):
            [row] = self.holders('--server', server)
            self.assertEqual('trainer', row['Server'])
        other = '5e5d5a3e-95c5-4a0a-9cd8-0c1f3a8d6a01'
        self.assertEqual([], self.holders('--server', other))

    def test_server_of_no_such_name(self) -> None:
        keystone = self.useFixture(
            cloud.CloudFixture(
                {'ops': base.OTHER_PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url}
                | self.nova.endpoints,
            )
        )
        outcome = self.shell.openstack(
            *keystone.login('admin', 'ops'),
            'pci', 'device', 'list', '--server', 'nobody',
        )  # fmt: skip
        self.assert_error(outcome, "does not know a server 'nobody'")

    def test_no_lookup(self) -> None:
        [row] = self.holders('--no-name-lookup')
        self.assertEqual('bigGPU', row['PCI Flavor'])
        self.assertNotIn('Server', row)

    def test_server_that_nova_does_not_have(self) -> None:
        self.nova.held['another'] = self.nova.held.pop(self.owner)
        [row] = self.holders()
        self.assertEqual(
            (None, None, self.owner),
            (row['Server'], row['Project ID'], row['Instance']),
        )

    def test_nova_is_away(self) -> None:
        nowhere = {('compute', 'one', 'public'): 'http://127.0.0.1:9/v2.1'}
        [row] = self.holders(endpoints=nowhere)
        self.assertIsNone(row['Server'])


class DeviceTestCase(GpuTestCase):
    def test_list(self) -> None:
        table = self.succeed(self.admin('pci device list', '--long')).stdout
        self.assertIn('| available | -', table)
        self.assertIn(
            f'| claimed   | bigGPU     | {self.held.instance_uuid} |', table
        )
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

    def test_clean(self) -> None:
        clean = ('pci device set', _SECOND, '--clean')
        self.assert_error(self.admin(*clean), 'no handlers')
        report = store_base.full_report(
            'cmp1', [store_base.gpu(0x66, handlers=['reset', 'wipe'])]
        )
        reports.apply(self.api.db, report)
        self.succeed(self.admin(*clean))
        self.assertEqual([_SECOND], self.listed('--state', 'cleaning'))
        [todo] = preparing.due(self.api.db, 'cmp1')
        preparing.progress(
            self.api.db, 'cmp1', todo.address, todo.fence, 40, 'sanitize'
        )
        table = self.succeed(self.admin('pci device list', '--long')).stdout
        self.assertRegex(table, r'\| cleaning \(40 %, since 20[^)]+Z\) \|')
        self.assertIn('| reset, wipe', table)
        shown = self.show(_SECOND)
        self.assertEqual(
            ('cleaning', 'clean', 40, 'sanitize', ['reset', 'wipe']),
            (
                shown['state'],
                shown['preparation_step'],
                shown['preparation_percent'],
                shown['preparation_text'],
                shown['handlers'],
            ),
        )
        lock_away = ('pci device set', _SECOND, '--quarantine')
        self.succeed(self.admin(*lock_away, '--reason', 'smells'))
        self.assertEqual('smells', self.show(_SECOND)['quarantine_reason'])
        release = ('pci device set', _SECOND, '--release')
        self.assert_error(self.admin(*release), 'was not prepared')
        self.succeed(self.admin(*release, '--reason', 'erased by hand'))
        self.assertEqual('available', self.show(_SECOND)['state'])

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


class ResolveTestCase(GpuTestCase):
    """The USB controller of a card that was added is at the GPU's address."""

    def setUp(self) -> None:
        super().setUp()
        usb = store_base.device(
            '0000:65:00.0', vendor_id='1b21', pci_class='0c0330'
        )
        self.gpus = [store_base.device(f'0000:{bus}:00.0') for bus in (66, 67)]
        self.api.add_host('cmp1', [usb, *self.gpus])

    def test_conflict_is_shown(self) -> None:
        device = self.show(_FIRST)
        self.assertEqual('conflict', device['state'])
        self.assertIn('1b21:2330', device['conflict'])
        self.assertEqual([_FIRST], self.listed('--state', 'conflict'))

    def test_moved(self) -> None:
        words = ('--moved-to', '0000:67:00.0', '--reason', 'buses shifted')
        quiet = self.admin('pci device resolve', _FIRST, *words)
        self.assertEqual('', self.succeed(quiet).stdout)
        device = self.show('cmp1/0000:67:00.0')
        self.assertEqual(self.held.instance_uuid, device['instance_uuid'])
        self.assertEqual('available', self.show(_SECOND)['state'])

    def test_gone(self) -> None:
        words = ('--gone', '--reason', 'it died')
        self.succeed(self.admin('pci device resolve', _FIRST, *words))
        self.assertEqual([], self.listed('--state', 'claimed'))
        self.assert_error(
            self.admin('pci device resolve', _SECOND, *words), 'HTTP 409'
        )

    def test_what_is_wrong(self) -> None:
        for words in (
            ('--gone',),
            ('--reason', 'x'),
            ('--gone', '--moved-to', '0000:67:00.0', '--reason', 'x'),
        ):
            outcome = self.admin('pci device resolve', _FIRST, *words)
            self.assertEqual(2, outcome.status)
        gone = ('--gone', '--reason', 'x')
        self.assert_error(
            self.member('pci device resolve', self.held.uuid, *gone),
            'HTTP 403',
        )


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
