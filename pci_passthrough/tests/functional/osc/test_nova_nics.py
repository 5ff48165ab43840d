# SPDX-License-Identifier: Apache-2.0
"""``nova boot`` with PCI flavors for NICs."""

import fixtures
from novaclient.v2 import shell

from pci_passthrough.osc import nova_nics
from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import nova
from pci_passthrough.tests.functional.osc import shells

_RED = nova.NETWORKS['red']
_BLUE = nova.NETWORKS['blue']
_HOOK = 'pci_passthrough.osc.nova_shell.__pre_parse_args__'


class BootTestCase(base.ShellTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova.NovaFixture())
        self.cloud = self.useFixture(
            cloud.CloudFixture({'demo': base.PROJECT}, self.nova.endpoints)
        )

    def run_command(self, *words: str) -> shells.Outcome:
        return self.shell.nova(*self.cloud.login('joe', 'demo'), *words)

    def boot(self, *nics: str) -> shells.Outcome:
        options = [word for nic in nics for word in ('--nic', nic)]
        return self.run_command(
            'boot', '--image', nova.IMAGE, '--flavor', nova.FLAVOR, *options,
            'vm',
        )  # fmt: skip

    def posted(self, *nics: str) -> nova.Posted:
        """Run a command, and return the only request that it sends."""
        self.succeed(self.boot(*nics))
        [posted] = self.nova.posted
        self.nova.posted.clear()
        return posted

    def test_one_nic(self) -> None:
        self.assertEqual(
            [{'uuid': _RED, 'pci_flavor': '10g'}],
            self.posted(f'net-id={_RED},pci-flavor=10g').body['server'][
                'networks'
            ],
        )

    def test_several_nics(self) -> None:
        posted = self.posted(
            f'net-id={_RED}',
            'tag=x,pci-flavor=10g,net-name=blue,v4-fixed-ip=192.0.2.7',
            f'port-id={nova.PORT}',
            f'net-id={_RED},pci-flavor=a=b c',
            f'net-id={_BLUE}',
            f'net-id={_RED},pci-flavor=10g',
        )
        self.assertEqual(
            [
                {'uuid': _RED},
                {
                    'uuid': _BLUE,
                    'tag': 'x',
                    'fixed_ip': '192.0.2.7',
                    'pci_flavor': '10g',
                },
                {'port': nova.PORT},
                {'uuid': _RED, 'pci_flavor': 'a=b c'},
                {'uuid': _BLUE},
                {'uuid': _RED, 'pci_flavor': '10g'},
            ],
            posted.body['server']['networks'],
        )

    def test_as_without_us(self) -> None:
        """Without a PCI flavor the command is that of novaclient."""
        asked = f'net-id={_RED},tag=x,pci-flavor=10g'
        [network] = self.posted(asked).body['server']['networks']
        self.assertEqual('10g', network['pci_flavor'])
        commands = (
            ('auto',),
            ('none',),
            (),
            (f'net-id={_RED},tag=x', 'net-name=blue', f'port-id={nova.PORT}'),
        )
        ours = [self.posted(*nics) for nics in commands]
        installed = shell._parse_nics
        stock = getattr(installed, '__wrapped__', installed)
        with (
            fixtures.MonkeyPatch(_HOOK, lambda: None),
            fixtures.MonkeyPatch('novaclient.v2.shell._parse_nics', stock),
        ):
            self.assert_error(self.boot(asked), 'Invalid nic argument')
            self.assertEqual(ours, [self.posted(*nics) for nics in commands])

    def test_several_extensions(self) -> None:
        """novaclient calls the hook once for each installed extension."""
        install = nova_nics.install
        self.useFixture(
            fixtures.MonkeyPatch(_HOOK, lambda: (install(), install()))
        )
        self.test_several_nics()

    def test_nothing_stays(self) -> None:
        """One command has no effect on the next in the same process."""
        self.posted(f'net-id={_RED},pci-flavor=10g')
        self.assertEqual(
            [{'uuid': _RED}],
            self.posted(f'net-id={_RED}').body['server']['networks'],
        )

    def test_refused(self) -> None:
        for nic, text in {
            f'net-id={_RED},pci-flavor=': 'pci-flavor is empty',
            f'net-id={_RED},pci-flavor=a,pci-flavor=b': 'given 2 times',
            'port-id=p1,pci-flavor=10g': (
                'openstack port set --pci-flavor 10g p1'
            ),
            'auto,pci-flavor=10g': 'needs a network',
            f'net-id={_RED},x=y,pci-flavor=10g': 'Invalid nic argument',
        }.items():
            self.assert_error(
                self.boot(f'net-id={_BLUE}', nic), '(CommandError)', text
            )
        self.assertEqual([], self.nova.posted)

    def test_refused_by_nova(self) -> None:
        self.nova.refusal = 'There is no PCI flavor 11g.'
        self.assert_error(
            self.boot(f'net-id={_RED},pci-flavor=11g'),
            'There is no PCI flavor 11g. (HTTP 400)',
        )

    def test_warnings(self) -> None:
        self.nova.warnings = [
            '299 pci-passthrough "macvtap beside direct"',
            '199 proxy "cache is cold"',
        ]
        for nic in (f'net-id={_RED},pci-flavor=10g', f'port-id={nova.PORT}'):
            outcome = self.boot(nic)
            self.assertEqual(
                (0, 'WARNING: macvtap beside direct'),
                (outcome.status, outcome.stderr),
            )

    def test_help(self) -> None:
        for _ in range(2):
            text = self.succeed(self.run_command('help', 'boot')).stdout
            option = [
                line
                for line in text.splitlines()
                if line.startswith('  --nic')
            ]
            self.assertIn(',pci-flavor=pci-flavor>', option[0])
            self.assertEqual(1, text.count('pci-flavor=<pci-flavor>: the NIC'))
