# SPDX-License-Identifier: Apache-2.0
"""The commands of the tour print what doc/source/tour.rst says."""

import pathlib
import re
import shlex

import fixtures

from pci_passthrough import conf as conf_module
from pci_passthrough import specs
from pci_passthrough.cmd import demo_cloud
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.reporting import preparation
from pci_passthrough.store.devices import preparing
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.cmd import running
from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud

_TOUR = pathlib.Path(__file__).parents[4] / 'doc' / 'source' / 'tour.rst'

_UUID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ')


def read_tour() -> list[tuple[str, str]]:
    """Return the commands of the tour, each with its expected output."""
    blocks = re.findall(
        r'^\.\. code-block:: console\n\n((?: {3}.*\n|\n)+)',
        _TOUR.read_text(),
        flags=re.MULTILINE,
    )
    steps = []
    for block in blocks:
        for step in re.split(r'^ {3}\$ ', block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition('\n')
            lines = [line.removeprefix('   ') for line in output.splitlines()]
            steps.append((command, '\n'.join(lines).strip()))
    return steps


class TourTestCase(base.OscTestCase):
    """Each command of the tour prints the output that the page has below it.

    Times, and UUIDs that no command of the tour names, differ in each run;
    the test only compares their form.
    """

    def setUp(self) -> None:
        super().setUp()
        if not _TOUR.exists():
            self.fail(f'run this from a checkout: there is no {_TOUR}')
        self.manage = self.useFixture(running.Manage())
        self.cloud = self.useFixture(
            cloud.CloudFixture(
                {'demo': base.PROJECT},
                {('pci-passthrough', 'one', 'public'): self.url},
            )
        )
        # As pci-passthrough-demo --api does.
        for name, value in (
            ('OS_AUTH_TYPE', 'admin_token'),
            ('OS_ENDPOINT', self.url),
            ('OS_TOKEN', fixture.ADMIN),
            ('OS_DATABASE__CONNECTION', self.api.conf.database.connection),
        ):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        self.add_demo_hosts()

    def add_demo_hosts(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.hosts: list[str] = []
        for config in demo_cloud.Cloud(folder).write_hosts():
            conf = conf_module.load([f'--config-file={config}'], 'test')
            host = libvirt_host.LibvirtHost(conf.agent.connection_uri)
            host.connect()
            self.addCleanup(host.close)
            result = scan.scan(
                host.list_node_devices(),
                sysfs_reader.SysfsReader(conf.agent.host_root),
                specs.PciInformation.parse(conf.agent.pci_information),
            )
            self.api.add_host(
                conf.host, [offer.device for offer in result.offered]
            )
            self.hosts.append(conf.host)
        self.let_agents_prepare()

    def let_agents_prepare(self) -> None:
        """Let the handlers of all devices have succeeded."""
        for host in self.hosts:
            for due in preparing.due(self.api.db, host):
                preparing.prepared(
                    self.api.db,
                    preparation.Bounds(),
                    host,
                    due.address,
                    due.fence,
                    True,
                    '',
                )

    def run_command(self, command: str) -> str:
        """Run a line of the tour as a shell would; return its output."""
        words = shlex.split(command)
        if words[0].startswith('OS_TOKEN='):
            name, _, value = words.pop(0).partition('=')
            with fixtures.EnvironmentVariable(name, value):
                return self.run_words(*words)
        return self.run_words(*words)

    def run_words(self, program: str, *words: str) -> str:
        if program == 'openstack':
            outcome = self.shell.openstack(*words)
            return outcome.stderr + outcome.stdout
        if program == 'nova':
            # With Keystone, because novaclient needs it.
            with (
                fixtures.EnvironmentVariable('OS_AUTH_TYPE'),
                fixtures.EnvironmentVariable('OS_TOKEN'),
                fixtures.EnvironmentVariable('OS_ENDPOINT'),
            ):
                outcome = self.shell.nova(
                    *self.cloud.login('una', 'demo'), *words
                )
            return outcome.stderr + outcome.stdout
        self.assertEqual('pci-passthrough-manage', program)
        managed = self.manage.run_bare(*words)
        self.let_agents_prepare()
        return managed.err + managed.out

    def test_tour(self) -> None:
        steps = read_tour()
        self.assertGreater(len(steps), 20)
        named = set(_UUID.findall('\n'.join(command for command, _ in steps)))

        def stable(text: str) -> list[str]:
            text = _TIME.sub('0000-00-00T00:00:00Z', text.strip())
            text = _UUID.sub(
                lambda match: (
                    match[0] if match[0] in named else '-' * len(match[0])
                ),
                text,
            )
            return text.splitlines()

        for command, expected in steps:
            self.assertEqual(
                stable(expected),
                stable(self.run_command(command)),
                f'$ {command}: the tour has another output',
            )
