# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor``: access, capacity, explain."""

from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.store import base as store_base


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
        shown = self.json_of(self.admin(*command, '-f', 'json'))
        self.assertEqual(
            [{'available': 1, 'claimed': 1}, {'available': 2}],
            [host.pop('states') for host in shown['hosts']],
        )
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
            shown,
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
        outcome = self.member(*command, '--count', '3', '-f', 'json')
        [reason] = outcome.json
        self.assertEqual('too_few', reason['Condition'])
        self.assertEqual(
            [
                'yes: The PCI flavor takes new requests.',
                'yes: The cloud has such devices.',
                'yes: Some devices are free.',
            ],
            outcome.stderr.splitlines(),
        )
        self.api.add_flavor('off', state='disabled')
        [reason] = self.json_of(
            self.member('pci flavor explain', 'off', '-f', 'json')
        )
        self.assertEqual('disabled', reason['Condition'])
        self.assert_error(self.member(*command, '--host', 'cmp1'), 'HTTP 403')


class ExplainNicTestCase(base.OscTestCase):
    """``explain`` for NICs."""

    def setUp(self) -> None:
        super().setUp()
        self.api.add_flavor('10g', match=[store_base.FLAVORS['nic']])
        self.api.add_host(
            'cmp1',
            store_base.family(
                1, 1, extra_info={'physical_network': 'physnet1'}
            ),
        )
        self.api.add_host('cmp2', store_base.family(1, 1))

    def serves(self, *words: str) -> dict[str, bool]:
        outcome = self.admin('pci flavor explain', '10g', *words, '-f', 'json')
        self.assertEqual(0, outcome.status)
        return {host['Host']: host['Serves'] for host in outcome.json}

    def test_networks(self) -> None:
        first, other = (
            ('--physical-network', f'physnet{number}') for number in (1, 2)
        )
        for words, cmp1, cmp2 in (
            ((), True, True),
            (first, True, False),
            (other, False, False),
            ((*other, *first), True, False),
            (('--no-physical-network',), False, True),
        ):
            self.assertEqual({'cmp1': cmp1, 'cmp2': cmp2}, self.serves(*words))

    def test_near_misses(self) -> None:
        for words, expected in (
            (('--physical-network', 'x'), 'is physnet1, wanted ["x"] '),
            (('--physical-network', 'x'), 'is nothing, wanted ["x"] '),
            (('--no-physical-network',), 'is physnet1, wanted nothing '),
        ):
            outcome = self.admin('pci flavor explain', '10g', *words)
            self.assertIn("10g on the NIC's network", outcome.error)
            self.assertIn(f'e.physical_network {expected}', outcome.stdout)

    def test_pages(self) -> None:
        """The page after 1000 hosts is for the same NIC."""
        base.insert_hosts(self.api.db, [f'c{n:04}' for n in range(1000)])
        serves = self.serves('--no-physical-network')
        self.assertEqual(['cmp1', 'cmp2'], list(serves)[1000:])
        self.assertEqual(['cmp2'], [host for host in serves if serves[host]])

    def test_refused(self) -> None:
        command = ('pci flavor explain', '10g')
        for words in (('--physical-network', 'x'), ('--no-physical-network',)):
            self.assert_error(self.member(*command, *words), 'HTTP 403')
        outcome = self.admin(
            *command, '--physical-network', 'x', '--no-physical-network'
        )
        self.assertEqual(2, outcome.status)


class UsageTestCase(base.OscTestCase):
    def test_usage(self) -> None:
        self.api.add_flavor('gpu')
        self.api.add_host('cmp1', [store_base.gpu(1), store_base.gpu(2)])
        self.api.claim('cmp1', 'gpu', owner_project_id=base.PROJECT)
        row = {
            'Project': base.PROJECT,
            'PCI Flavor': 'gpu',
            'Used': 1,
            'Limit': None,
        }
        command = ('pci usage list', '-f', 'json')
        self.assertEqual([row], self.json_of(self.member(*command)))
        self.assertEqual(
            [row], self.json_of(self.admin(*command, '--all-projects'))
        )
        self.assertEqual(
            [],
            self.json_of(
                self.admin(*command, '--project', base.OTHER_PROJECT)
            ),
        )
        self.assert_error(
            self.member('pci usage list', '--project', base.OTHER_PROJECT),
            'HTTP 403',
        )
        table = self.succeed(
            self.admin(
                'pci usage list',
                '--start',
                '2026-01-01',
                '-f',
                'csv',
                '--end',
                '2026-01-02T00:00:00Z',
                '--pci-flavor',
                'gpu',
            )
        ).stdout
        self.assertEqual(
            '"Project","PCI Flavor","Used","Limit","Device Seconds"\n'
            f'"{base.PROJECT}","gpu",1,"None",0\n',
            table,
        )
