# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor``: access, capacity, explain."""

from pci_passthrough.tests.functional.osc import base


class AccessTestCase(base.OscTestCase):
    def listed(self, *words: str) -> str:
        return self.succeed(
            self.admin('pci flavor access list', 'gpu', *words)
        ).stdout

    def test_access(self) -> None:
        self.api.add_flavor('gpu', is_public=False)
        self.assert_error(self.member('pci flavor show', 'gpu'), 'HTTP 404')
        for _ in range(2):
            self.succeed(
                self.admin('pci flavor access add', 'gpu', base.PROJECT)
            )
        self.succeed(self.member('pci flavor show', 'gpu'))
        self.assertEqual(f'{base.PROJECT}\n', self.listed('-f', 'value'))
        self.assertIn(f'| {base.PROJECT} |', self.listed())
        for _ in range(2):
            self.succeed(
                self.admin('pci flavor access remove', 'gpu', base.PROJECT)
            )
        self.assertEqual('[]\n', self.listed('-f', 'json'))

    def test_refused(self) -> None:
        self.api.add_flavor('gpu')
        for words in (('add', 'gpu', base.PROJECT), ('list', 'gpu')):
            command = f'pci flavor access {words[0]}'
            self.assert_error(self.member(command, *words[1:]), 'HTTP 403')
        self.assert_error(
            self.admin('pci flavor access remove', 'x', base.PROJECT),
            'HTTP 404',
        )


class SupplyTestCase(base.OscTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.add_held_gpus()

    def test_capacity(self) -> None:
        command = ('pci flavor capacity', 'bigGPU', '--count', '2')
        table = self.succeed(self.admin(*command)).stdout
        self.assertIn('| cmp1: 1 of 2 free, requests: 0 |', table)
        found = self.json_of(self.admin(*command, '-f', 'json'))
        self.assertEqual(
            {
                'name': 'bigGPU',
                'count': 2,
                'availability': 'low',
                'free': 3,
                'total': 4,
                'requests': 1,
                'hosts': [
                    {'host': 'cmp1', 'free': 1, 'total': 2, 'requests': 0},
                    {'host': 'cmp2', 'free': 2, 'total': 2, 'requests': 1},
                ],
            },
            found,
        )
        self.assertEqual(
            {'name': 'bigGPU', 'count': 2, 'availability': 'low'},
            self.json_of(self.member(*command, '-f', 'json')),
        )
        self.assert_error(self.member('pci flavor capacity', 'x'), 'HTTP 404')
        outcome = self.member('pci flavor capacity', 'bigGPU', '--count', '0')
        self.assertEqual(2, outcome.status)

    def test_explain_to_an_administrator(self) -> None:
        self.api.add_flavor('other', match=[{'vendor_id': '8086'}])
        command = ('pci flavor explain', 'bigGPU', '--count', '2')
        outcome = self.admin(*command)
        self.assertEqual(0, outcome.status)
        self.assertIn('bigGPU', outcome.error)
        self.assertIn('| cmp1 | False  | too_few   |', outcome.stdout)
        self.assertIn('| cmp2 | True   | -         |', outcome.stdout)
        [host] = self.admin(*command, '--host', 'cmp2', '-f', 'json').json
        self.assertEqual(('cmp2', True), (host['Host'], host['Serves']))
        outcome = self.admin('pci flavor explain', 'other')
        self.assertIn(
            '2 x 10de:2330 type-PCI NUMA 0: vendor_id is 10de, wanted "8086"',
            outcome.stdout,
        )

    def test_explain_to_a_project(self) -> None:
        command = ('pci flavor explain', 'bigGPU')
        outcome = self.member(*command)
        self.assertEqual(0, outcome.status)
        self.assertEqual('availability of 1 bigGPU: ok', outcome.error)
        self.assertEqual([], self.member(*command, '-f', 'json').json)
        [reason] = self.json_of(
            self.member(*command, '--count', '3', '-f', 'json')
        )
        self.assertEqual('too_few', reason['Condition'])
        self.api.add_flavor('off', state='disabled')
        [reason] = self.json_of(
            self.member('pci flavor explain', 'off', '-f', 'json')
        )
        self.assertEqual('disabled', reason['Condition'])
        self.assert_error(self.member(*command, '--host', 'cmp1'), 'HTTP 403')
