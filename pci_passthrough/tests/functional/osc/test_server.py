# SPDX-License-Identifier: Apache-2.0
"""``openstack server …`` with PCI flavors for NICs."""

from typing import Any

import fixtures
from openstackclient.compute.v2 import server

from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import nova
from pci_passthrough.tests.functional.osc import shells

_RED = nova.NETWORKS['red']
_BLUE = nova.NETWORKS['blue']
_OURS = 'pci_passthrough.osc.v1.server'
_STOCK = server.CreateServer, server.AddNetwork
_WARNINGS = [
    '299 pci-passthrough "macvtap beside direct"',
    '199 proxy "cache is cold"',
    '299 pci-passthrough "and another, too"',
]
_SHOWN = 'macvtap beside direct\nand another, too\n'


class ServerTestCase(base.ShellTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova.NovaFixture())
        self.cloud = self.useFixture(
            cloud.CloudFixture({'demo': base.PROJECT}, self.nova.endpoints)
        )

    def run_command(self, *words: str) -> shells.Outcome:
        return self.shell.openstack(*self.cloud.login('joe', 'demo'), *words)

    def sent(self, *words: str) -> Any:
        """Run a command, and return the only body that it sends."""
        self.succeed(self.run_command(*words))
        [body] = self.nova.bodies()
        return body

    def assert_usage(self, outcome: shells.Outcome, *texts: str) -> None:
        """Check that a command is a usage error and sends nothing."""
        self.assertEqual(2, outcome.status)
        for text in texts:
            self.assertIn(text, outcome.stderr)
        self.assertEqual([], self.nova.bodies())


class CreateTestCase(ServerTestCase):
    def create(self, *words: str) -> shells.Outcome:
        return self.run_command(*self.words(*words))

    def words(self, *words: str) -> tuple[str, ...]:
        return (
            'server', 'create', '--image', nova.IMAGE, '--flavor',
            nova.FLAVOR, *words, 'vm',
        )  # fmt: skip

    def networks(self, *words: str) -> Any:
        """Return the networks in the body that a command sends."""
        return self.sent(*self.words(*words))['server']['networks']

    def test_one_nic(self) -> None:
        self.assertEqual(
            [{'uuid': _RED, 'pci_flavor': '10g'}],
            self.networks('--nic', f'net-id={_RED},pci-flavor=10g'),
        )

    def test_several_nics(self) -> None:
        self.assertEqual(
            [
                {'uuid': _RED},
                {'uuid': _BLUE, 'pci_flavor': '10g'},
                {'port': nova.PORT},
                {'uuid': _BLUE},
                {'uuid': _RED, 'pci_flavor': '100g'},
                {'uuid': _RED, 'pci_flavor': '10g'},
                {'port': nova.PORT},
            ],
            self.networks(
                '--network', 'red',
                '--nic', 'pci-flavor=10g,net-id=blue',
                '--port', nova.PORT,
                '--nic', 'net-id=blue',
                '--nic', 'net-id=red,pci-flavor=100g',
                '--nic', 'net-id=red,pci-flavor=10g',
                '--nic', f'port-id={nova.PORT}',
            ),
        )  # fmt: skip

    def test_other_keys(self) -> None:
        self.assertEqual(
            [
                {
                    'uuid': _RED,
                    'tag': 'fast',
                    'fixed_ip': '192.0.2.7',
                    'pci_flavor': 'a=b c',
                },
                {'uuid': _BLUE, 'fixed_ip': '2001:db8::7', 'tag': 'slow'},
            ],
            self.networks(
                '--nic',
                'tag=fast,net-id=red,pci-flavor=a=b c,v4-fixed-ip=192.0.2.7',
                '--nic', 'net-id=blue,v6-fixed-ip=2001:db8::7,tag=slow',
            ),
        )  # fmt: skip

    def test_as_without_us(self) -> None:
        """Without a PCI flavor the command is that of OSC."""
        commands = (
            ('--nic', 'auto'),
            ('--nic', 'none'),
            ('--no-network',),
            (),
            ('--nic', 'net-id=red,tag=x', '--port', nova.PORT, '--property',
             'a=b', '--min', '2', '--max', '3', '--hint', 'x=y', '--tag', 't'),
        )  # fmt: skip
        ours = [self.posted(*words) for words in commands]
        self.assertEqual('none', ours[2][0].body['server']['networks'])
        with fixtures.MonkeyPatch(f'{_OURS}.CreateServer', _STOCK[0]):
            self.assert_usage(
                self.create('--nic', 'net-id=red,pci-flavor=10g'),
                'argument must be of form',
            )
            self.assertEqual(ours, [self.posted(*words) for words in commands])

    def posted(self, *words: str) -> tuple[nova.Posted, str]:
        """Return the body that was sent, and the standard error."""
        outcome = self.run_command(
            '--os-compute-api-version', '2.90', *self.words(*words)
        )
        [posted] = self.nova.posted
        self.nova.posted.clear()
        return posted, self.succeed(outcome).stdout

    def test_same_but_for_the_key(self) -> None:
        words = ('--network', 'blue', '--property', 'a=b', '--nic')
        plain = self.sent(*self.words(*words, 'net-id=red,tag=x'))
        asked = self.sent(
            *self.words(*words, 'net-id=red,tag=x,pci-flavor=10g')
        )
        self.assertEqual(
            '10g', asked['server']['networks'][1].pop('pci_flavor')
        )
        self.assertEqual(plain, asked)

    def test_refused(self) -> None:
        for option, text in {
            'net-id=red,pci-flavor=': 'pci-flavor is empty',
            'net-id=red,pci-flavor': 'pci-flavor is empty',
            'net-id=red,pci-flavor=a,pci-flavor=b': 'given 2 times',
            'port-id=p1,pci-flavor=10g': (
                'openstack port set --pci-flavor 10g p1'
            ),
            'pci-flavor=10g': 'net-id=<net-uuid>,pci-flavor=10g',
            'auto,pci-flavor=10g': 'needs a network',
            'net-id=red,pci_flavor=10g': 'argument must be of form',
            'net-id=,pci-flavor=10g': 'argument must be of form',
        }.items():
            self.assert_usage(
                self.create('--nic', option), 'argument --nic: ', text
            )

    def test_refused_by_nova(self) -> None:
        self.nova.refusal = 'There is no PCI flavor 11g.'
        outcome = self.create('--nic', 'net-id=red,pci-flavor=11g')
        self.assert_error(outcome, 'There is no PCI flavor 11g.')

    def test_network_not_found(self) -> None:
        outcome = self.create('--nic', 'net-id=green,pci-flavor=10g')
        self.assert_error(outcome, 'green')
        self.assertEqual([], self.nova.bodies())

    def test_warnings(self) -> None:
        self.nova.warnings = _WARNINGS
        for option in ('net-id=red,pci-flavor=10g', f'port-id={nova.PORT}'):
            outcome = self.create('--nic', option, '-f', 'value', '-c', 'id')
            self.assertEqual(
                (0, f'{nova.SERVER}\n', _SHOWN),
                (outcome.status, outcome.stdout, outcome.stderr),
            )

    def test_help(self) -> None:
        outcome = self.shell.openstack('help', 'server', 'create')
        text = self.succeed(outcome).stdout
        self.assertIn(',tag=tag,pci-flavor=pci-flavor,auto,none>', text)
        self.assertIn('pci-flavor=<pci-flavor>: the NIC is a device', text)
        self.assertIn('net-id=<net-uuid>: attach NIC to network', text)


class AddNetworkTestCase(ServerTestCase):
    def words(self, *words: str) -> tuple[str, ...]:
        return ('server', 'add', 'network', *words, nova.SERVER, 'red')

    def test_pci_flavor(self) -> None:
        self.assertEqual(
            {'interfaceAttachment': {'net_id': _RED, 'pci_flavor': '10g'}},
            self.sent(*self.words('--pci-flavor', '10g')),
        )

    def test_as_without_us(self) -> None:
        commands = (self.words(), self.words('--tag', 'x'))
        ours = [self.sent(*words) for words in commands]
        self.assertEqual(
            {'interfaceAttachment': {'net_id': _RED, 'tag': 'x'}}, ours[1]
        )
        with fixtures.MonkeyPatch(f'{_OURS}.AddNetwork', _STOCK[1]):
            self.assert_usage(
                self.run_command(*self.words('--pci-flavor', '10g')),
                'unrecognized arguments: --pci-flavor',
            )
            self.assertEqual(ours, [self.sent(*words) for words in commands])

    def test_same_but_for_the_key(self) -> None:
        self.succeed(self.run_command(*self.words('--tag', 'x')))
        self.succeed(
            self.run_command(*self.words('--tag', 'x', '--pci-flavor', '10g'))
        )
        plain, asked = self.nova.posted
        attachment = asked.body['interfaceAttachment']
        self.assertEqual('10g', attachment.pop('pci_flavor'))
        self.assertEqual(plain, asked)

    def test_refused(self) -> None:
        self.assert_usage(
            self.run_command(*self.words('--pci-flavor', '')),
            'argument --pci-flavor: the name or UUID is empty',
        )
        self.nova.refusal = 'There is no PCI flavor 11g.'
        for option in ((), ('--pci-flavor', '11g')):
            self.assert_error(
                self.run_command(*self.words(*option)),
                'BadRequestException: 400',
                'There is no PCI flavor 11g.',
            )

    def test_warnings(self) -> None:
        self.nova.warnings = _WARNINGS
        for option in ((), ('--pci-flavor', '10g')):
            outcome = self.run_command(*self.words(*option))
            self.assertEqual(
                (0, '', _SHOWN),
                (outcome.status, outcome.stdout, outcome.stderr),
            )
