# SPDX-License-Identifier: Apache-2.0
"""Every command of pci-passthrough-manage, in every format."""

import csv
import datetime
import getpass
import io
import re

import testtools

from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import store
from pci_passthrough.objects import fields
from pci_passthrough.store import hosts
from pci_passthrough.store import models
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import trackers
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.cmd import running

_ONE = '11111111-1111-4111-8111-111111111111'
_TWO = '22222222-2222-4222-8222-222222222222'
_NIC = '0000:65:00.'
_GPU = '0000:01:00.0'

_WHEN = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')


def _device(address: str, **facts: object) -> objects.PciDevice:
    return objects.PciDevice(
        **{
            'address': address,
            'parent_addr': None,
            'dev_type': fields.DevType.STANDARD,
            'vendor_id': '8086',
            'product_id': '1889',
            'subsystem_vendor_id': None,
            'subsystem_id': None,
            'pci_class': '020000',
            'driver': None,
            'numa_node': 0,
            'iommu_group': None,
            'devname': None,
            'mac_address': None,
            'link_speed': None,
            'total_vfs': None,
            'capabilities': ['rx', 'tx'],
            'extra_info': {'group': '10g', 'physical_network': 'physnet1'},
            **facts,
        }
    )


class ManageTestCase(testtools.TestCase):
    """Base: a database with two hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.manage = self.useFixture(running.Manage())
        sqlite.create(self.manage.database)
        nics = [_device(f'{_NIC}{number}') for number in range(3)]
        gpu = _device(
            _GPU,
            vendor_id='10de',
            product_id='2330',
            pci_class='030200',
            numa_node=None,
            extra_info={},
        )
        self.report('one', [*nics, gpu])
        self.report('two', nics[:1])
        self.ok('flavor', 'create', '10g', '--match', 'e.group=10g')
        self.ok('flavor', 'create', 'gpu', '--match', 'class=display')

    def report(
        self, host: str, devices: list[objects.PciDevice], sequence: int = 1
    ) -> None:
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        snapshot = reporting.Snapshot.of(devices, [])
        reports.apply(
            database,
            snapshot.full_report(
                host=host, agent_version='1', sequence=sequence
            ),
        )

    def refuse(self, instance: str) -> None:
        """Record refusals of Nova's scheduler."""
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        refusal = objects.SchedulingRefusal(
            instance_uuid=instance,
            requests='10g:2',
            summary='3 hosts: no free 10g; 1 host: is away',
            reasons=[
                ['is away', 1, ['one']],
                ['no free 10g', 3, ['three', 'two']],
            ],
            created_at=None,
        )
        scheduling_refusals.add(database, refusal, 7)

    def ok(self, *words: str) -> running.Outcome:
        outcome = self.manage.run(*words)
        self.assertEqual((0, ''), (outcome.status, outcome.err), str(words))
        return outcome

    def refused(self, *words: str, status: int = 1) -> str:
        """Check that a command fails; return its one line of error."""
        outcome = self.manage.run(*words)
        self.assertEqual((status, ''), (outcome.status, outcome.out))
        *usage, line = outcome.err.splitlines()
        self.assertEqual(status == 2, bool(usage), outcome.err)
        self.assertTrue(line.startswith('pci-passthrough-manage'), line)
        return line


class FormatsTestCase(ManageTestCase):
    """Columns, which scripts rely on, in all formats."""

    def formats(self, columns: list[str], *words: str) -> None:
        """Check a command that may be repeated in all formats."""
        document = self.ok(*words, '--format', 'json').data
        first = document[0] if isinstance(document, list) else document
        self.assertEqual(columns, list(first))
        table = self.ok(*words).out
        self.assertEqual(table, self.ok(*words, '--format', 'table').out)
        self.assertTrue(table.startswith('+-'), table)
        self.assertNotIn('None', table)
        rows = list(csv.reader(io.StringIO(self.ok(*words, '-f', 'csv').out)))
        self.assertEqual(columns, rows[0])
        values = self.ok(*words, '-f', 'value').out.splitlines()
        if isinstance(document, list):
            self.assertEqual(len(document), len(rows) - 1)
            self.assertEqual(len(document), len(values))
        else:
            self.assertEqual(2, len(rows))
            self.assertEqual(len(document), len(values))
        picked = self.ok(*words, '-f', 'json', '-c', columns[-1]).data
        self.assertEqual(
            [columns[-1]],
            list(picked[0] if isinstance(picked, list) else picked),
        )

    def test_db(self) -> None:
        self.formats(['before', 'after'], 'db', 'sync')
        self.formats(['current', 'needed'], 'db', 'version')
        self.formats(['events', 'pool_keys'], 'db', 'purge')

    def test_host(self) -> None:
        self.formats(
            [
                'Host', 'State', 'Devices', 'Generation', 'Agent Version',
                'Last Report At', 'Tracker', 'Tracker Version',
                'Tracker Seen At',
            ],
            'host', 'list',
        )  # fmt: skip

    def test_refusal(self) -> None:
        self.refuse(_ONE)
        columns = ['Created At', 'Server', 'Requests', 'Reasons']
        self.formats(columns, 'refusal', 'list')
        self.formats(columns, 'refusal', 'list', '--server', _ONE)

    def test_pool(self) -> None:
        columns = [
            'Host', 'Vendor:Product', 'Type', 'NUMA Node', 'Extra Info',
            'Free', 'Total',
        ]  # fmt: skip
        self.formats(columns, 'pool', 'list')
        self.formats(
            [
                *columns, 'Subsystem Vendor', 'Subsystem', 'Class', 'Driver',
                'vGPU Type', 'Resource Type',
            ],
            'pool', 'list', '--long',
        )  # fmt: skip

    def test_device(self) -> None:
        columns = [
            'Host', 'Address', 'Type', 'Vendor:Product', 'NUMA Node',
            'Extra Info', 'State', 'Instance',
        ]  # fmt: skip
        self.formats(columns, 'device', 'list')
        self.formats(
            [
                'UUID', *columns, 'Parent', 'Class', 'Driver', 'vGPU Type',
                'Resource Type', 'Interface', 'Presence', 'Disabled',
                'Preparation', 'Quarantine Reason',
            ],
            'device', 'list', '--long',
        )  # fmt: skip
        self.formats(
            ['At', 'Action', 'From', 'To', 'Actor', 'Instance', 'Reason'],
            'device', 'history', f'one/{_GPU}',
        )  # fmt: skip
        shown = list(
            self.ok('device', 'show', f'one/{_GPU}', '-f', 'json').data
        )
        self.assertEqual(['uuid', 'host', 'address', 'state'], shown[:4])
        self.formats(shown, 'device', 'show', f'one/{_GPU}')
        self.formats(shown, 'device', 'set', f'one/{_GPU}', '--enable')

    def test_flavor(self) -> None:
        columns = [
            'UUID', 'Name', 'Match', 'vNIC Type', 'NUMA Policy', 'Public',
            'State',
        ]  # fmt: skip
        self.formats(columns, 'flavor', 'list')
        self.formats(
            [*columns, 'Owner', 'Shared With', 'Description'],
            'flavor', 'list', '--long',
        )  # fmt: skip
        shown = [
            'uuid', 'name', 'description', 'match', 'vnic_type',
            'numa_policy', 'is_public', 'project_id', 'access', 'state',
            'generation',
        ]  # fmt: skip
        self.formats(shown, 'flavor', 'show', '10g')
        self.formats(shown, 'flavor', 'set', '10g', '--description', 'x')
        for number, form in enumerate(('json', 'csv', 'table', 'value')):
            self.ok(
                'flavor', 'create', f'new{number}', '--match', 'class=network',
                '--format', form,
            )  # fmt: skip

    def test_claim_and_free(self) -> None:
        columns = [
            'Host', 'Address', 'Type', 'Vendor:Product', 'NUMA Node', 'State',
            'Request',
        ]  # fmt: skip
        for form in ('json', 'csv', 'table', 'value'):
            claimed = self.ok('claim', _ONE, '10g', '--format', form).out
            freed = self.ok('free', _ONE, '--format', form).out
            for out, more in ((claimed, []), (freed, ['Last Report of Nova'])):
                self.assertIn(f'{_NIC}0', out)
                if form == 'csv':
                    self.assertEqual(
                        columns + more, next(csv.reader(io.StringIO(out)))
                    )

    def test_machines_get_values(self) -> None:
        gpu = self.ok('device', 'show', f'one/{_GPU}', '-f', 'json').data
        self.assertIsNone(gpu['numa_node'])
        self.assertEqual({}, gpu['extra_info'])
        self.assertEqual(['rx', 'tx'], gpu['capabilities'])
        flavor = self.ok('flavor', 'show', 'gpu', '-f', 'json').data
        self.assertEqual([{'class': 'display'}], flavor['match'])
        self.assertEqual([], flavor['access'])
        self.assertIsNone(flavor['vnic_type'])
        pool = self.ok('pool', 'list', '-f', 'json', '--host', 'two').data
        self.assertEqual(
            {'group': '10g', 'physical_network': 'physnet1'},
            pool[0]['Extra Info'],
        )


class NovaTestCase(ManageTestCase):
    """Resource trackers and refusals of Nova's scheduler."""

    def test_trackers(self) -> None:
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        trackers.register(database, 'one', '1.1')
        one, two = self.ok('host', 'list', '-f', 'json').data
        self.assertEqual(
            ('up', '1.1'), (one['Tracker'], one['Tracker Version'])
        )
        self.assertRegex(one['Tracker Seen At'], _WHEN)
        self.assertEqual(
            [None] * 3,
            [
                two[name]
                for name in ('Tracker', 'Tracker Version', 'Tracker Seen At')
            ],
        )
        self.assertIn(' - ', self.ok('host', 'list').out)
        with database.write() as connection:
            connection.execute(
                models.compute_nodes.update().values(
                    tracker_seen_at=hosts.cutoff(181)
                )
            )
        one, _ = self.ok('host', 'list', '-f', 'json').data
        self.assertEqual(('up', 'down'), (one['State'], one['Tracker']))

    def test_why_an_instance_found_no_host(self) -> None:
        self.refuse(_ONE)
        self.refuse(_TWO)
        [row] = self.ok('refusal', 'list', '--server', _ONE, '-f', 'json').data
        self.assertEqual((_ONE, '10g:2'), (row['Server'], row['Requests']))
        self.assertEqual(
            [('no free 10g', 3, ['three', 'two']), ('is away', 1, ['one'])],
            [
                (reason['text'], reason['hosts'], reason['some_hosts'])
                for reason in row['Reasons']
            ],
        )
        self.assertIn(
            '| 3 hosts: no free 10g ', self.ok('refusal', 'list').out
        )
        self.assertIn(
            '| three, two ', self.ok('refusal', 'list', '--long').out
        )
        self.assertIn(
            'not a time', self.refused('refusal', 'list', '--since', 'x')
        )

    def test_what_offers_a_device(self) -> None:
        entry = '{"match": {"class": "network"}}'
        device = _device(f'{_NIC}0', offered_by=entry)
        self.report('three', [device])
        shown = self.ok('device', 'show', f'three/{_NIC}0', '-f', 'json').data
        self.assertEqual(entry, shown['offered_by'])
        shown = self.ok('device', 'show', f'two/{_NIC}0', '-f', 'json').data
        self.assertIsNone(shown['offered_by'])


class StoryTestCase(ManageTestCase):
    def test_until_nothing_is_left(self) -> None:
        claimed = self.ok(
            'claim', _ONE, '10g:3,gpu', '--allocate', '-f', 'json'
        ).data
        self.assertEqual({'one'}, {row['Host'] for row in claimed})
        self.assertEqual({'allocated'}, {row['State'] for row in claimed})
        outcome = self.manage.run('claim', _TWO, '10g:2')
        self.assertEqual((1, ''), (outcome.status, outcome.out))
        summary, one, two = outcome.err.splitlines()
        self.assertEqual(
            'pci-passthrough-manage: no host can serve the request:', summary
        )
        self.assertTrue(
            one.startswith('  one: 10g: 2 needed, 0 left (all_held); '), one
        )
        self.assertTrue(
            two.startswith('  two: 10g: 2 needed, 1 left (too_few); '), two
        )
        self.ok('claim', _TWO, '10g')
        self.assertEqual([], self.free())
        self.ok('free', _ONE)
        self.ok('free', _TWO)
        self.assertEqual(
            [('one', 1), ('one', 3), ('two', 1)], sorted(self.free())
        )

    def free(self) -> list[tuple[str, int]]:
        rows = self.ok('pool', 'list', '-f', 'json').data
        return [(row['Host'], row['Free']) for row in rows if row['Free']]

    def test_only_this_claim_is_allocated(self) -> None:
        self.ok('claim', _ONE, '10g')
        self.ok('claim', _ONE, 'gpu', '--allocate')
        states = {
            row['Address']: row['State']
            for row in self.ok(
                'device', 'list', '--instance', _ONE, '-f', 'json'
            ).data
        }
        self.assertEqual({f'{_NIC}0': 'claimed', _GPU: 'allocated'}, states)

    def test_holder_by_a_disabled_flavor(self) -> None:
        """A holder can claim again, for example on another host."""
        self.ok('claim', _ONE, '10g')
        self.ok('flavor', 'set', '10g', '--state', 'disabled')
        self.ok('claim', _ONE, '10g')
        self.assertIn('disabled', self.refused('claim', _TWO, '10g'))

    def test_instance_in_another_form(self) -> None:
        self.ok('claim', _ONE.replace('-', '').upper(), 'gpu')
        rows = self.ok('device', 'list', '--instance', _ONE, '-f', 'json').data
        self.assertEqual(_ONE, rows[0]['Instance'])

    def test_freeing_nothing_is_fine_and_said(self) -> None:
        outcome = self.manage.run('free', _ONE, '--host', 'one')
        self.assertEqual(0, outcome.status)
        self.assertEqual(
            f'Instance {_ONE} holds no device on one.\n', outcome.err
        )

    def test_numa_node(self) -> None:
        self.ok('flavor', 'set', '10g', '--numa-policy', 'required')
        outcome = self.manage.run('claim', _ONE, '10g', '--numa-node', '1')
        self.assertEqual(1, outcome.status)
        self.assertIn('(numa)', outcome.err)
        self.ok('claim', _ONE, '10g', '--numa-node', '0')

    def test_history_says_who_when_and_why(self) -> None:
        device = f'one/{_GPU}'
        self.ok('device', 'set', device, '--disable', '--reason', 'hot')
        self.ok('device', 'set', device, '--enable', '--reason', 'cold')
        self.ok('device', 'set', device, '--quarantine', '--reason', 'odd')
        self.ok('device', 'set', device, '--release')
        self.ok('claim', _ONE, 'gpu')
        lines = self.ok('device', 'history', device, '-f', 'json').data
        self.assertEqual(
            ['appear', 'disable', 'enable', 'quarantine', 'release', 'claim'],
            [line['Action'] for line in lines],
        )
        operator = 'operator (pci-passthrough-manage)'
        self.assertEqual({operator}, {line['Actor'] for line in lines[1:]})
        self.assertEqual('hot', lines[1]['Reason'])
        self.assertEqual('cold', lines[2]['Reason'])
        self.assertEqual('odd', lines[3]['Reason'])
        self.assertEqual(
            ('available', 'claimed', _ONE),
            (lines[-1]['From'], lines[-1]['To'], lines[-1]['Instance']),
        )
        for line in lines:
            self.assertRegex(line['At'], _WHEN)

    def test_device_whose_hardware_is_gone(self) -> None:
        self.ok('claim', _ONE, 'gpu')
        self.report('one', [], 2)
        words = ('--gone', '--reason', 'it died')
        self.ok('device', 'resolve', f'one/{_GPU}', *words)
        rows = self.ok('device', 'list', '--instance', _ONE, '-f', 'json').data
        self.assertEqual([], rows)
        lines = self.ok('device', 'history', f'one/{_GPU}', '-f', 'json').data
        self.assertEqual(
            ('gone', 'it died'),
            (lines[-1]['Action'], lines[-1]['Reason']),
        )

    def test_history_outlives_its_device(self) -> None:
        self.ok('db', 'purge', '--days', '0')
        device = f'two/{_NIC}0'
        self.assertEqual(
            [], self.ok('device', 'history', device, '-f', 'json').data
        )

    def test_filters(self) -> None:
        self.ok('device', 'set', f'one/{_GPU}', '--disable', '--reason', 'x')
        for words, wanted in (
            (['--host', 'two'], [f'{_NIC}0']),
            (['--state', 'disabled'], [_GPU]),
            (['--host', 'two', '--state', 'disabled'], []),
            (['--instance', _ONE], []),
        ):
            rows = self.ok('device', 'list', '-f', 'json', *words).data
            self.assertEqual(wanted, [row['Address'] for row in rows])

    def test_flavor_is_changed_and_deleted(self) -> None:
        words = ('flavor', 'set', '10g')
        self.ok(
            *words, '--name', 'nic', '--vnic-type', 'direct', '--private',
            '--share', _ONE, '--numa-policy', 'socket', '--match',
            'vendor_id=8086', '--match', '{"vendor_id": ["10de"]}',
        )  # fmt: skip
        shown = self.ok('flavor', 'show', 'nic', '-f', 'json').data
        self.assertEqual(
            [{'vendor_id': '8086'}, {'vendor_id': ['10de']}], shown['match']
        )
        self.assertEqual(
            ('direct', 'socket', False, [_ONE]),
            tuple(
                shown[name]
                for name in (
                    'vnic_type', 'numa_policy', 'is_public', 'access',
                )
            ),
        )  # fmt: skip
        self.ok(
            'flavor', 'set', 'nic', '--no-vnic-type', '--no-numa-policy',
            '--no-share',
        )  # fmt: skip
        shown = self.ok('flavor', 'show', 'nic', '-f', 'json').data
        self.assertEqual(
            (None, None, []),
            (shown['vnic_type'], shown['numa_policy'], shown['access']),
        )
        self.assertEqual('', self.ok('flavor', 'delete', 'nic', 'gpu').out)
        self.assertEqual([], self.ok('flavor', 'list', '-f', 'json').data)

    def test_host_is_forgotten(self) -> None:
        self.ok('claim', _ONE, 'gpu', '--host', 'one')
        up = self.refused('host', 'forget', 'one')
        self.assertIn('Stop pci-passthrough-agent there', up)
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        with database.write() as connection:
            connection.execute(
                models.compute_nodes.update().values(
                    last_report_at=datetime.datetime(2020, 1, 1)
                )
            )
        held = self.refused('host', 'forget', 'one')
        self.assertIn(f'{_GPU} (instance {_ONE})', held)
        self.assertIn(
            'a reason', self.refused('host', 'forget', 'one', '--force')
        )
        self.ok('host', 'rename', 'two', 'zwei')
        several = self.manage.run('host', 'forget', 'nobody', 'zwei')
        self.assertEqual((1, ''), (several.status, several.out))
        nobody, summary = several.err.splitlines()
        self.assertIn("Failed to delete host 'nobody'", nobody)
        self.assertIn('1 of 2 hosts failed to delete', summary)
        self.ok('host', 'forget', 'one', '--force', '--reason', 'burned')
        self.assertEqual([], self.ok('host', 'list', '-f', 'json').data)
        history = self.ok('device', 'history', f'one/{_GPU}').out
        self.assertIn('the host was forgotten: burned', history)
        self.assertIn('no', self.refused('host', 'forget', 'one'))

    def test_flavor_in_use_goes_by_force(self) -> None:
        self.ok('claim', _ONE, 'gpu')
        change = ('flavor', 'set', 'gpu', '--match', 'vendor_id=8086')
        self.assertIn('is in use', self.refused(*change))
        self.ok(*change, '--force')
        self.assertIn('force', self.refused('flavor', 'delete', 'gpu'))
        deleted = self.manage.run('flavor', 'delete', 'gpu', '--force')
        self.assertEqual((0, ''), (deleted.status, deleted.out))
        self.assertIn('1 device(s) are still held by it', deleted.err)
        again = ('flavor', 'create', 'gpu', '--match', 'class=display')
        self.assertIn('still taken', self.refused(*again))
        self.ok('free', _ONE)
        self.ok(*again)


class CommandsOfOpenstackTestCase(ManageTestCase):
    """The commands of ``openstack pci``, which run against this process."""

    def test_commands_without_another_implementation(self) -> None:
        self.ok('flavor', 'set', '10g', '--description', 'fast', '--private')
        self.ok('flavor', 'unset', '10g', '--description')
        self.ok('flavor', 'access', 'add', '10g', _ONE)
        shown = self.ok('flavor', 'show', '10g', '-f', 'json').data
        self.assertEqual(
            (None, [_ONE]), (shown['description'], shown['access'])
        )
        listed = self.ok('flavor', 'access', 'list', '10g', '-f', 'value')
        self.assertEqual(f'{_ONE}\n', listed.out)
        self.ok('flavor', 'access', 'remove', '10g', _ONE)
        capacity = self.ok('flavor', 'capacity', '10g', '-f', 'json').data
        self.assertEqual(
            ('10g', 'none'), (capacity['name'], capacity['availability'])
        )

    def test_explanation_is_that_of_the_scheduler(self) -> None:
        """Explanations only count hosts that have a resource tracker."""
        explained = self.manage.run('flavor', 'explain', '10g', '-f', 'json')
        self.assertEqual(0, explained.status)
        self.assertEqual(
            {'tracker_down'}, {row['Condition'] for row in explained.data}
        )
        self.ok('claim', _ONE, '10g')

    def test_any_name(self) -> None:
        """A name is not changed by URLs, headers and JSON."""
        name = 'ä ?%&#+'
        self.ok('flavor', 'set', '10g', '--name', name)
        shown = self.ok('flavor', 'show', name, '-f', 'json').data
        self.assertEqual(name, shown['name'])
        self.ok('flavor', 'delete', name)

    def test_needs_neither_broker_nor_permission(self) -> None:
        policies = self.manage.folder / 'policy.yaml'
        policies.write_text('"pci_passthrough:pci_flavors:create": "!"\n')
        self.manage.configure(
            self.manage.url,
            '[DEFAULT]\ntransport_url = rabbit://nobody@127.0.0.1:1/\n'
            f'[oslo_policy]\npolicy_file = {policies}\n',
        )
        self.ok('flavor', 'create', 'x', '--match', 'class=network')
        self.ok('device', 'set', f'one/{_GPU}', '--disable', '--reason', 'x')

    def test_share_replaces_the_projects(self) -> None:
        for project in (_ONE, _TWO):
            self.ok('flavor', 'set', '10g', '--share', project)
        shown = self.ok('flavor', 'show', '10g', '-f', 'json').data
        self.assertEqual([_TWO], shown['access'])
        self.assertIn(
            'the UUID', self.refused('flavor', 'set', '10g', '--share', 'demo')
        )

    def test_deletions_end_at_the_first_error(self) -> None:
        self.assertIn(
            "no PCI flavor 'x'", self.refused('flavor', 'delete', 'x', 'gpu')
        )
        self.ok('flavor', 'show', 'gpu')
        [effect] = self.ok(
            'flavor', 'delete', 'gpu', '--dry-run', '-f', 'json'
        ).data
        self.assertEqual(('gpu', 1), (effect['Name'], effect['Devices']))
        self.ok('flavor', 'delete', 'gpu')

    def test_history_of_a_device_that_is_gone(self) -> None:
        self.report('one', [], sequence=2)
        self.assertIn(
            'no device at this address',
            self.refused('device', 'show', f'one/{_GPU}'),
        )
        events = self.ok('device', 'history', f'one/{_GPU}', '-f', 'json').data
        self.assertEqual(
            ['appear', 'remove'], [event['Action'] for event in events]
        )


class RefusalsTestCase(ManageTestCase):
    def test_wrong_input(self) -> None:
        self.ok('claim', _ONE, 'gpu')
        for words, text in (
            (('claim', _ONE, '10g:'), '10g:'),
            (('claim', _ONE, 'nope'), "no PCI flavor 'nope'"),
            (('claim', _ONE, '10g', '--host', 'x'), "host 'x' is unknown"),
            (('flavor', 'show', 'nope'), "no PCI flavor 'nope'"),
            (('flavor', 'set', 'nope', '--public'), "no PCI flavor 'nope'"),
            (('flavor', 'set', '10g'), 'nothing to change'),
            (('flavor', 'set', '10g', '--name', 'gpu'), 'exists already'),
            (('flavor', 'delete', 'gpu'), 'is in use'),
            (('flavor', 'create', '10g', '--match', 'class=x'), 'class'),
            (
                ('flavor', 'create', '10g', '--match', 'class=network'),
                'exists already',
            ),
            (('flavor', 'create', 'x', '--match', 'colour=red'), 'colour'),
            (('device', 'show', 'one/0'), "no PCI device 'one/0'"),
            (('device', 'history', 'one/0'), "no PCI device 'one/0'"),
            (('device', 'set', 'one/0', '--enable'), "no PCI device 'one/0'"),
            (
                ('device', 'set', f'one/{_GPU}', '--quarantine', '--reason',
                 'x'),
                'cannot quarantine while it is claimed',
            ),
            (('host', 'list', '-c', 'Colour'), 'No recognized column'),
        ):  # fmt: skip
            self.assertIn(text, self.refused(*words))

    def test_wrong_command_line(self) -> None:
        for words, text in (
            (('claim', 'x', '10g'), 'is not the UUID of an instance'),
            (('free', 'x'), 'is not the UUID of an instance'),
            (('claim', _ONE), 'request'),
            (('claim', _ONE, '10g', '--numa-node', 'x'), 'numa-node'),
            (('flavor', 'create', 'x'), '--match'),
            (('flavor', 'create', 'x', '--match', 'y'), 'KEY=VALUE'),
            (('flavor', 'set', '10g', '--state', 'gone'), 'gone'),
            (('device', 'set', 'x'), '--disable'),
            (('device', 'set', 'x', '--disable'), '--reason'),
            (('device', 'list', '--state', 'x'), 'allocated'),
            (('db', 'purge', '--days', '-1'), '-1'),
            (('db', 'purge', '--days', 'x'), '--days'),
            (('host', 'list', '--format', 'xml'), 'xml'),
            (('host',), "'host'; did you mean one of: host forget, host list"),
            (('hots', 'list'), 'host list'),
            ((), 'a command is needed'),
        ):
            self.assertIn(text, self.refused(*words, status=2))

    def test_other_hosts_are_tried_only_without_host(self) -> None:
        self.ok('claim', _ONE, '10g', '--host', 'two')
        outcome = self.manage.run('claim', _TWO, '10g', '--host', 'two')
        self.assertEqual(1, outcome.status)
        self.assertIn('two', outcome.err)
        self.ok('claim', _TWO, '10g')

    def test_no_host_is_up(self) -> None:
        self.manage.configure(
            self.manage.url, '[conductor]\nhost_timeout = 1\n'
        )
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        with database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE compute_nodes SET last_report_at = '2020-01-01'"
            )
        self.assertIn(
            'no host is up (no agent has reported within the last 1 seconds)',
            self.refused('claim', _ONE, '10g'),
        )
        rows = self.ok('host', 'list', '-f', 'json').data
        self.assertEqual({'down'}, {row['State'] for row in rows})


class SurroundingsTestCase(testtools.TestCase):
    """Errors while the database or the configuration is missing."""

    def setUp(self) -> None:
        super().setUp()
        self.manage = self.useFixture(running.Manage())

    def says(self, *words: str) -> str:
        outcome = self.manage.run(*words)
        self.assertEqual((1, ''), (outcome.status, outcome.out))
        [line] = outcome.err.splitlines()
        self.assertTrue(line.startswith('pci-passthrough-manage: '), line)
        return line

    def test_no_schema(self) -> None:
        for words in (('host', 'list'), ('db', 'purge'), ('flavor', 'list')):
            self.assertIn('pci-passthrough-manage db sync', self.says(*words))
        version = self.manage.run('db', 'version', '-f', 'json')
        self.assertIsNone(version.data['current'])
        for before in (None, version.data['needed']):
            self.assertEqual(
                {'before': before, 'after': version.data['needed']},
                self.manage.run('db', 'sync', '-f', 'json').data,
            )

    def test_no_folder_for_sqlite(self) -> None:
        self.manage.configure('sqlite:////nowhere/pci.sqlite')
        for words in (('db', 'sync'), ('db', 'version'), ('host', 'list')):
            line = self.says(*words)
            self.assertIn('sqlite:////nowhere/pci.sqlite', line)
            self.assertIn('its directory has to exist', line)

    def test_no_database_file(self) -> None:
        (self.manage.folder / 'pci.sqlite').write_text('nothing ' * 1000)
        self.assertIn('file is not a database', self.says('host', 'list'))

    def test_no_server(self) -> None:
        for scheme in ('mysql+pymysql', 'postgresql+psycopg2'):
            self.manage.configure(f'{scheme}://me:s3cret@127.0.0.1:1/pci')
            line = self.says('db', 'sync')
            self.assertIn(f'{scheme}://me:***@127.0.0.1:1/pci', line)
            self.assertIn('refused', line)

    def test_no_url_and_no_driver(self) -> None:
        self.manage.configure('me:s3cret at home')
        self.assertNotIn('s3cret', self.says('host', 'list'))
        self.manage.configure('mysql+nothing://me:s3cret@home/x')
        self.assertNotIn('s3cret', self.says('host', 'list'))

    def test_configuration(self) -> None:
        self.manage.config.write_text('[conductor]\nhost_timeout = soon\n')
        self.assertIn('[conductor] host_timeout', self.says('host', 'list'))
        self.manage.config.write_text('a b\n')
        self.assertIn('conductor.conf', self.says('host', 'list'))
        self.manage.config.unlink()
        self.assertIn('conductor.conf', self.says('host', 'list'))
        self.manage.config.mkdir()
        self.assertIn('conductor.conf', self.says('host', 'list'))

    def test_help_needs_no_configuration(self) -> None:
        self.manage.config.unlink()
        names = []
        for words in (('--help',), ('help',)):
            outcome = self.manage.run(*words)
            self.assertEqual((0, ''), (outcome.status, outcome.err))
            names = re.findall(
                r'^  ((?:db|flavor access|flavor|pool|device|host) \w+'
                r'|claim|free) ',
                outcome.out,
                re.MULTILINE,
            )
            self.assertEqual(25, len(names))
        for name in names:
            outcome = self.manage.run(*name.split(), '--help')
            self.assertEqual((0, ''), (outcome.status, outcome.err))
            self.assertIn(f'pci-passthrough-manage {name}', outcome.out)

    def test_log_file(self) -> None:
        path = self.manage.folder / 'log'
        for words in (('-vv',), ('--debug',)):
            self.manage.run(*words, f'--log-file={path}', 'db', 'sync')
        self.assertTrue(path.exists())
        outcome = self.manage.run('--log-file=/nowhere/log', 'db', 'sync')
        self.assertEqual(2, outcome.status)

    def test_debug_shows_where(self) -> None:
        outcome = self.manage.run('--debug', 'host', 'list')
        self.assertEqual(1, outcome.status)
        self.assertIn('Traceback', outcome.err)
        self.assertIn('schema.py', outcome.err)


class ProcessTestCase(testtools.TestCase):
    """Some commands in a process of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.manage = self.useFixture(running.Manage())

    def run_program(self, *words: str) -> running.Outcome:
        return running.run_program(
            'pci-passthrough-manage',
            f'--config-file={self.manage.config}',
            *words,
            SUDO_USER='',
        )

    def test_who_acts(self) -> None:
        self.assertEqual(0, self.run_program('db', 'sync').status)
        outcome = self.run_program('host', 'list', '-f', 'json')
        self.assertEqual(
            (0, [], ''), (outcome.status, outcome.data, outcome.err)
        )
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        reports.apply(
            database,
            reporting.Snapshot.of([_device(_GPU)], []).full_report(
                host='one', agent_version='1', sequence=1
            ),
        )
        self.run_program('device', 'set', f'one/{_GPU}', '--disable',
                         '--reason', 'x')  # fmt: skip
        outcome = self.run_program(
            'device', 'history', f'one/{_GPU}', '-f', 'json'
        )
        self.assertEqual(
            f'{getpass.getuser()} (pci-passthrough-manage)',
            outcome.data[-1]['Actor'],
        )

    def test_errors(self) -> None:
        outcome = self.run_program('host', 'list')
        self.assertEqual((1, ''), (outcome.status, outcome.out))
        self.assertEqual(1, len(outcome.err.splitlines()), outcome.err)
        self.assertEqual(2, self.run_program('host', 'lost').status)
        outcome = self.run_program('--version')
        self.assertEqual(0, outcome.status)
        self.assertTrue(outcome.out.startswith('pci-passthrough-manage '))

    def test_conductor_refuses_at_once(self) -> None:
        for config, text in (
            (None, 'pci-passthrough-manage db sync'),
            ('sqlite:////nowhere/x', 'its directory has to exist'),
        ):
            if config:
                self.manage.configure(config)
            outcome = running.run_program(
                'pci-passthrough-conductor',
                f'--config-file={self.manage.config}',
            )
            self.assertEqual(1, outcome.status)
            last = outcome.err.splitlines()[-1]
            self.assertTrue(
                last.startswith('pci-passthrough-conductor: '), last
            )
            self.assertIn(text, last)
            self.assertNotIn('Traceback', outcome.err)
