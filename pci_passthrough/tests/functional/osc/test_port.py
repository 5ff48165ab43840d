# SPDX-License-Identifier: Apache-2.0
"""``openstack port …`` with PCI flavors."""

from typing import Any

from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import neutron
from pci_passthrough.tests.functional.osc import nova
from pci_passthrough.tests.functional.osc import shells


class PortTestCase(base.OscTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.neutron = self.useFixture(neutron.NeutronFixture())
        self.cloud = self.useFixture(
            cloud.CloudFixture(
                {'demo': base.PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url}
                | self.neutron.endpoints,
            )
        )
        self.flavor = self.api.add_flavor('10g', vnic_type='macvtap')
        self.api.add_flavor('25g')

    def run_command(self, *words: str) -> shells.Outcome:
        return self.shell.openstack(
            *self.cloud.login('joe', 'demo'), 'port', *words
        )

    def create(self, *words: str, name: str = 'p') -> shells.Outcome:
        return self.run_command(
            'create', '--network', nova.NETWORKS['red'], *words, name
        )

    def succeed_and_see(self, outcome: shells.Outcome) -> tuple[Any, ...]:
        """Return vnic_type and tags of the port after a command."""
        self.succeed(outcome)
        port = self.neutron.ports['p']
        return port['binding:vnic_type'], sorted(port['tags'])

    def test_create(self) -> None:
        for words, vnic_type, tags in (
            (('--pci-flavor', '10g'), 'macvtap', ['pci-flavor=10g']),
            (('--pci-flavor', '25g'), 'direct', ['pci-flavor=25g']),
            (
                (
                    '--pci-flavor', self.flavor.uuid, '--vnic-type', 'direct',
                    '--tag', 'mine',
                ),
                'direct',
                ['mine', f'pci-flavor={self.flavor.uuid}'],
            ),
            (('--tag', 'mine'), 'normal', ['mine']),
        ):  # fmt: skip
            self.assertEqual(
                (vnic_type, tags), self.succeed_and_see(self.create(*words))
            )

    def test_name_too_long_for_a_tag(self) -> None:
        flavor = self.api.add_flavor('x' * 250)
        self.assertEqual(
            ('direct', [f'pci-flavor={flavor.uuid}']),
            self.succeed_and_see(self.create('--pci-flavor', flavor.name)),
        )

    def test_set_and_unset(self) -> None:
        self.create('--pci-flavor', '10g', '--tag', 'mine')
        change = ['set', '--pci-flavor', '25g', '--tag', 'too', 'p']
        self.assertEqual(
            ('direct', ['mine', 'pci-flavor=25g', 'too']),
            self.succeed_and_see(self.run_command(*change)),
        )
        change = [
            'set', '--pci-flavor', '10g', '--vnic-type', 'direct', '--no-tag',
            'p',
        ]  # fmt: skip
        self.assertEqual(
            ('direct', ['pci-flavor=10g']),
            self.succeed_and_see(self.run_command(*change)),
        )
        self.assertEqual(
            ('direct', ['more', 'pci-flavor=10g']),
            self.succeed_and_see(
                self.run_command('set', '--tag', 'more', 'p')
            ),
        )
        for _ in range(2):
            self.assertEqual(
                ('direct', ['more']),
                self.succeed_and_see(
                    self.run_command('unset', '--pci-flavor', 'p')
                ),
            )

    def test_set_while_in_use(self) -> None:
        self.create('--pci-flavor', '25g')
        self.neutron.ports['p']['device_id'] = nova.SERVER
        outcome = self.run_command('set', '--pci-flavor', '10g', 'p')
        self.assertEqual(0, outcome.status)
        self.assertIn(f'in use by {nova.SERVER}', outcome.error)

    def test_list(self) -> None:
        self.create('--pci-flavor', '10g', name='by name')
        self.create('--pci-flavor', self.flavor.uuid, name='by uuid')
        self.create('--tag', 'pci-flavor=gone', name='of a deleted one')
        self.create('--tag', 'mine', name='another')
        for name, expected in (
            ('10g', ['by name', 'by uuid']),
            (self.flavor.uuid, ['by name', 'by uuid']),
            ('gone', ['of a deleted one']),
            ('25g', []),
        ):
            listed = self.json_of(
                self.run_command('list', '--pci-flavor', name, '-f', 'json')
            )
            self.assertEqual(expected, [port['Name'] for port in listed])

    def test_refused(self) -> None:
        self.create('--tag', 'mine')
        before = dict(self.neutron.ports['p'])
        for words in (
            ('create', '--network', 'red', '--pci-flavor', 'x', 'q'),
            ('set', '--pci-flavor', 'x', '--name', 'q', 'p'),
        ):
            self.assert_error(
                self.run_command(*words), "there is no PCI flavor 'x'"
            )
        both = ('--pci-flavor', '10g', '--tag', 'pci-flavor=25g')
        self.assert_error(self.create(*both, name='q'), 'give either')
        self.assert_error(self.run_command('set', *both, 'p'), 'give either')
        self.assert_error(
            self.run_command('list', '--pci-flavor', '10g', '--any-tags', 'a'),
            'give either',
        )
        self.assertEqual(2, self.create('--pci-flavor', '').status)
        self.assertEqual({'p': before}, self.neutron.ports)


class WithoutServiceTestCase(base.ShellTestCase):
    def test_create(self) -> None:
        other = self.useFixture(neutron.NeutronFixture())
        keystone = self.useFixture(
            cloud.CloudFixture({'demo': base.PROJECT}, other.endpoints)
        )
        words = ('port', 'create', '--network', 'red')
        login = keystone.login('joe', 'demo')
        self.succeed(self.shell.openstack(*login, *words, 'p'))
        self.assert_error(
            self.shell.openstack(*login, *words, '--pci-flavor', '10g', 'q'),
            'no endpoint of a service of type pci-passthrough',
        )
        self.assertEqual(['p'], list(other.ports))
