# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor``: create, list, show, set, unset, delete."""

from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import trackers
from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import nova
from pci_passthrough.tests.functional.osc import shells
from pci_passthrough.tests.functional.store import base as store_base

_NIC = ('--match', 'vendor_id=8086,e.group=10g', '--vnic-type', 'direct')


class ReadTestCase(base.OscTestCase):
    def test_list(self) -> None:
        self.add_gpus()
        self.api.add_flavor('gpu', description='A GPU')
        self.api.add_flavor('nic', match=[{'vendor_id': '8086'}])
        [gpu, nic] = self.json_of(self.member('pci flavor list', '-f', 'json'))
        self.assertEqual(
            {
                'Name': 'gpu',
                'Availability': 'ok',
                'vNIC Type': None,
                'State': 'active',
                'Description': 'A GPU',
            },
            {name: gpu[name] for name in gpu if name != 'UUID'},
        )
        self.assertEqual('none', nic['Availability'])
        table = self.succeed(self.member('pci flavor list')).stdout
        self.assertIn('| gpu  | ok           | -         | active |', table)
        [_, nic] = self.json_of(
            self.admin('pci flavor list', '--long', '-f', 'json')
        )
        self.assertEqual([{'vendor_id': '8086'}], nic['Match'])
        self.assertEqual([], nic['Access'])

    def names(self, *words: str) -> list[str]:
        outcome = self.admin(
            'pci flavor list', '-f', 'value', '-c', 'Name', *words
        )
        return self.succeed(outcome).stdout.split()

    def test_filters_and_order(self) -> None:
        self.api.add_flavor('a', base.PROJECT, is_public=False)
        self.api.add_flavor('b', state='disabled', vnic_type='direct')
        self.api.add_flavor('c')
        for words, names in (
            ((), 'abc'),
            (('--sort', 'name:desc'), 'cba'),
            (('--sort', 'state:desc,name'), 'bac'),
            (('--limit', '2'), 'ab'),
            (('--marker', 'a', '--limit', '1'), 'b'),
            (('--state', 'disabled'), 'b'),
            (('--state', 'disabled', '--state', 'active'), 'abc'),
            (('--vnic-type', 'direct'), 'b'),
            (('--private',), 'a'),
            (('--public', '--name', 'c'), 'c'),
            (('--project', base.PROJECT), 'a'),
        ):
            self.assertEqual(list(names), self.names(*words), str(words))

    def test_pages(self) -> None:
        """The service returns at most 1000 PCI flavors per page."""
        wanted = [f'f{number:04}' for number in range(1005)]
        base.insert_flavors(self.api.db, wanted)
        self.assertEqual(wanted, self.names())
        self.assertEqual(wanted[:1003], self.names('--limit', '1003'))

    def test_show(self) -> None:
        self.api.add_flavor('a name', base.PROJECT, access=['b', 'a'])
        table = self.succeed(self.member('pci flavor show', 'a name')).stdout
        self.assertIn('| match        | vendor_id=10de ', table)
        self.assertNotIn('access', table)
        shown = self.json_of(
            self.admin('pci flavor show', 'a name', '-f', 'json')
        )
        self.assertEqual(['a', 'b'], shown['access'])
        self.assertEqual(base.PROJECT, shown['project_id'])
        self.assertIs(True, shown['is_public'])
        self.assert_error(
            self.admin('pci flavor show', 'ä ?%'),
            "'ä ?%'",
            'HTTP 404, pci_flavor.not_found, req-',
        )

    def test_show_what_it_is_and_how_much_is_left(self) -> None:
        words = {'type': 'token', 'description': 'It signs.'}
        tokens = [store_base.token(n, extra_info=words) for n in (1, 2)]
        reports.apply(self.api.db, store_base.full_report('h', tokens))
        trackers.register(self.api.db, 'h', '1')
        self.api.add_flavor('token', match=[{'resource_type': 'usb'}])
        line = 'usb token, It signs.: '
        for shell, left in (
            (self.admin, 'low, 2 of 2 free'),
            (self.member, 'low '),
        ):
            table = self.succeed(shell('pci flavor show', 'token')).stdout
            self.assertIn(f'| resources    | {line}{left}', table)
        self.assertNotIn('of 2', table)


class ChangeTestCase(base.OscTestCase):
    def show(self, name: str) -> dict[str, object]:
        shown: dict[str, object] = self.json_of(
            self.admin('pci flavor show', name, '-f', 'json')
        )
        # What is left changes by itself.
        del shown['availability'], shown['resources']
        return shown

    def create(self, *words: str) -> None:
        self.succeed(self.admin('pci flavor create', *words))

    def test_create(self) -> None:
        created = self.json_of(
            self.admin(
                'pci flavor create', '10g', *_NIC, '--match',
                '{"vendor_id": ["15b3", "8086"]}', '--private',
                '--share', base.PROJECT, '--project', base.OTHER_PROJECT,
                '--description', 'fast', '--numa-policy', 'required',
                '--state', 'deprecated', '-f', 'json',
            )
        )  # fmt: skip
        self.assertEqual(created, self.show('10g'))
        self.assertEqual(
            {
                'name': '10g',
                'description': 'fast',
                'match': [
                    {'vendor_id': '8086', 'e.group': '10g'},
                    {'vendor_id': ['15b3', '8086']},
                ],
                'vnic_type': 'direct',
                'numa_policy': 'required',
                'is_public': False,
                'state': 'deprecated',
                'project_id': base.OTHER_PROJECT,
                'access': [base.PROJECT],
            },
            {
                name: created[name]
                for name in created
                if name not in ('uuid', 'generation')
                and not name.endswith('_at')
            },
        )

    def test_create_refused(self) -> None:
        self.create('10g', *_NIC)
        create = ('pci flavor create', '10g', *_NIC)
        self.assert_error(
            self.admin(*create), 'exists', 'HTTP 409, pci_flavor.exists, req-'
        )
        self.assert_error(self.member(*create), 'policy', 'HTTP 403')
        self.assert_error(
            self.admin('pci flavor create', 'x', '--match', 'adress=1'),
            'adress',
            'HTTP 400',
        )
        outcome = self.admin('pci flavor create', 'x', '--match', 'vendor_id')
        self.assertEqual(2, outcome.status)
        self.assertIn('right would be', outcome.stderr)

    def test_set_and_unset(self) -> None:
        self.create('a', *_NIC, '--share', base.PROJECT)
        quiet = self.succeed(
            self.admin(
                'pci flavor set', 'a', '--name', 'b', '--description', 'new',
                '--match', 'vendor_id=10de', '--vnic-type', 'vdpa',
                '--numa-policy', 'legacy', '--state', 'disabled',
                '--private', '--share', base.OTHER_PROJECT,
            )
        )  # fmt: skip
        self.assertEqual('', quiet.stdout)
        shown = self.show('b')
        for name, value in (
            ('description', 'new'),
            ('match', [{'vendor_id': '10de'}]),
            ('vnic_type', 'vdpa'),
            ('numa_policy', 'legacy'),
            ('state', 'disabled'),
            ('is_public', False),
            ('access', sorted([base.PROJECT, base.OTHER_PROJECT])),
        ):
            self.assertEqual(value, shown[name])
        self.succeed(
            self.admin(
                'pci flavor unset', 'b', '--description', '--vnic-type',
                '--numa-policy', '--share', base.PROJECT,
            )
        )  # fmt: skip
        shown = self.show('b')
        for name in ('description', 'vnic_type', 'numa_policy'):
            self.assertIsNone(shown[name])
        self.assertEqual([base.OTHER_PROJECT], shown['access'])
        share = ('--no-share', '--share', base.PROJECT)
        self.succeed(self.admin('pci flavor set', 'b', *share))
        self.assertEqual([base.PROJECT], self.show('b')['access'])

    def test_set_refused(self) -> None:
        self.add_held_gpus()
        change = ('pci flavor set', 'bigGPU', '--match', 'vendor_id=8086')
        self.assert_error(
            self.admin(*change), 'in use', 'instances: ', 'HTTP 409'
        )
        self.succeed(self.admin(*change, '--force'))
        for command in ('set', 'unset'):
            self.assert_error(
                self.admin(f'pci flavor {command}', 'bigGPU'), 'nothing to'
            )
        self.assert_error(self.member(*change), 'HTTP 403')

    def test_nothing_of_another_editor_is_lost(self) -> None:
        self.api.add_flavor('gpu')
        with base.AnotherEditor(self.api.db):
            outcome = self.admin('pci flavor set', 'gpu', '--private')
        self.assert_error(outcome, 'HTTP 412, pci_flavor.changed')
        shown = self.show('gpu')
        self.assertEqual(
            (True, 'theirs'), (shown['is_public'], shown['description'])
        )

    def test_dry_runs(self) -> None:
        [device] = self.add_held_gpus()
        match = ('--match', 'vendor_id=10de', '--dry-run')
        table = self.succeed(
            self.admin('pci flavor create', 'gpu', *match)
        ).stdout
        self.assertIn('| devices_gained   | 4 ', table)
        self.assertIn('cmp1: 10de:2330 type-PCI, -, 1 of 2 free', table)
        effect = self.json_of(
            self.admin(
                'pci flavor set', 'bigGPU', '--match', 'vendor_id=8086',
                '--dry-run', '-f', 'json',
            )
        )  # fmt: skip
        self.assertEqual([{'vendor_id': '8086'}], effect['match'])
        self.assertEqual(4, effect['devices_lost'])
        self.assertEqual(1, effect['devices_stranded'])
        self.assertEqual([device.instance_uuid], effect['instances'])
        self.assertIsNotNone(effect['refusal'])
        [effect] = self.json_of(
            self.admin(
                'pci flavor delete', 'bigGPU', '--dry-run', '-f', 'json'
            )
        )
        self.assertEqual(
            ('bigGPU', 4, 1, 1),
            (
                effect['Name'],
                effect['Devices'],
                effect['Devices Held'],
                effect['Instances'],
            ),
        )
        [flavor] = self.json_of(self.admin('pci flavor list', '-f', 'json'))
        self.assertEqual('bigGPU', flavor['Name'])

    def test_delete(self) -> None:
        self.add_held_gpus()
        for name in ('a', 'b'):
            self.api.add_flavor(name)
        outcome = self.admin('pci flavor delete', 'a', 'bigGPU', 'x', 'b')
        self.assertEqual((1, ''), (outcome.status, outcome.stdout))
        in_use, not_found, summary = outcome.stderr.splitlines()
        self.assertIn("name or UUID 'bigGPU': ", in_use)
        self.assertIn('HTTP 404', not_found)
        self.assertEqual('2 of 4 PCI flavors failed to delete.', summary)
        quiet = self.admin('pci flavor delete', 'bigGPU', '--force')
        self.assertEqual('', self.succeed(quiet).stdout)
        left = self.json_of(self.admin('pci flavor list', '-f', 'json'))
        self.assertEqual([], left)


class ShelvedTestCase(base.OscTestCase):
    """Shelved servers that ask for a PCI flavor that is deleted."""

    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova.NovaFixture())
        keystone = self.useFixture(
            cloud.CloudFixture(
                {'ops': base.OTHER_PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url}
                | self.nova.endpoints,
            )
        )
        self.login = keystone.login('admin', 'ops')
        for number, extra_specs in enumerate(
            (
                {'pci_passthrough:pci_flavor': 'gpu:2,10g|gpux:1'},
                {'hardware_resource:gpu': '1'},
                {'hw:cpu_policy': 'dedicated'},
            )
        ):
            self.nova.held[f's{number}'] = {
                'id': f's{number}',
                'status': 'SHELVED_OFFLOADED',
                'flavor': {'extra_specs': extra_specs},
            }
        for name in ('gpu', 'gpux', 'other'):
            self.api.add_flavor(name)

    def delete(self, *words: str) -> shells.Outcome:
        """Run the command."""
        return self.shell.openstack(
            *self.login, 'pci', 'flavor', 'delete', *words
        )

    def test_warned_of(self) -> None:
        outcome = self.delete('gpu', 'gpux', 'other')
        self.assertEqual((0, ''), (outcome.status, outcome.stdout))
        gpu, gpux = outcome.stderr.splitlines()
        self.assertIn("'gpu' these shelved servers", gpu)
        self.assertIn('unshelved: s0, s1', gpu)
        self.assertIn('unshelved: s0', gpux)
        self.assertEqual(1, self.nova.listed)
        self.assertEqual('SHELVED_OFFLOADED', self.nova.status)

    def test_dry_run(self) -> None:
        self.assertIn('s0, s1', self.delete('gpu', '--dry-run').stderr)
        self.assertIn('s0, s1', self.delete('gpu').stderr)
