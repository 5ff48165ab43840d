# SPDX-License-Identifier: Apache-2.0
"""The page to install: its size; the files, commands and users it names."""

import configparser
import contextlib
import io
import re
from typing import Final

from oslotest import base
import sqlalchemy as sa

from pci_passthrough.cmd import agent
from pci_passthrough.cmd import status
from pci_passthrough.cmd.manage import app
from pci_passthrough.tests import install_page

_ETC: Final = install_page.ROOT / 'etc'
_EXAMPLES: Final = _ETC / 'pci_passthrough/examples'

#: A page can be read in one go.
_MOST_LINES: Final = 200

#: Where setup.cfg has the wheel put the directories of the checkout.
_SHARE: Final = {
    'pci_passthrough': 'share/pci_passthrough',
    'nova': 'share/pci_passthrough/nova',
    'systemd': 'share/pci_passthrough/systemd',
    # The guide of the dashboard has it.
    'glance/metadefs': 'share/pci_passthrough/glance/metadefs',
}


class PageTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.text = install_page.PAGE.read_text()
        self.blocks = install_page.read()
        self.commands = [
            command.text.replace('\\\n', '')
            for block in self.blocks
            if block.language == 'console'
            for command in block.commands
        ]
        self.setup = configparser.ConfigParser(delimiters='=')
        self.setup.read(install_page.ROOT / 'setup.cfg')

    def words(self, program: str) -> list[list[str]]:
        """Return the arguments of each call of a program."""
        return [
            command.rpartition(f'{program} ')[2].split()
            for command in self.commands
            if re.search(rf'(^|/){program} ', command)
        ]

    def test_size(self) -> None:
        self.assertLessEqual(len(self.text.splitlines()), _MOST_LINES)

    def test_data_files(self) -> None:
        """The wheel brings the files of these directories."""
        listed = self.setup['files']['data_files'].strip().splitlines()
        self.assertEqual(
            {f'{share} = etc/{folder}/*' for folder, share in _SHARE.items()},
            set(listed),
        )

    def test_copied_files(self) -> None:
        """Each copied file is in the directory where the page copies it."""
        copied = set()
        folder = ''
        for command in self.commands:
            if command.startswith('cd '):
                folder = command.partition('/share/pci_passthrough')[2]
            if command.startswith(('install ', 'cp ')):
                for name in re.findall(r' (\w[\w/-]*\.\w+)\b', command):
                    copied.add(f'{folder}/{name}'.strip('/'))
        self.assertEqual(
            {
                'examples/agent.conf', 'examples/api.conf',
                'examples/api-uwsgi.ini', 'examples/conductor.conf',
                'nova/api-paste-pci-passthrough.ini',
                'nova/nova-pci-passthrough.conf',
                'systemd/pci-passthrough-agent.service',
                'systemd/pci-passthrough-api.service',
                'systemd/pci-passthrough-conductor.service',
            },
            copied,
        )  # fmt: skip
        for name in copied:
            folders = _ETC / 'pci_passthrough' / name, _ETC / name
            self.assertTrue(any(f.is_file() for f in folders), name)

    def test_named_programs(self) -> None:
        scripts = self.setup['entry_points']['console_scripts']
        services = {path.stem for path in _ETC.glob('systemd/*.service')}
        for name in set(re.findall(r'\bpci-passthrough-[a-z]+\b', self.text)):
            self.assertIn(f'{name} = ', scripts)
        for name in services:
            self.assertIn(f'enable --now {name}\n', self.text)

    def test_options(self) -> None:
        """Our programs take the words that the page gives them."""
        for program, main, calls in (
            ('agent', agent.main, [['--once', '--dry-run']]),
            ('status', status.main, [['upgrade', 'check']] * 2),
        ):
            self.assertEqual(calls, self.words(f'pci-passthrough-{program}'))
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self.assertRaises(SystemExit, main, ['--help'])
            for word in calls[0]:
                self.assertIn(word, out.getvalue())

    def test_commands_of_manage(self) -> None:
        manager = app.ManageApp().command_manager
        calls = self.words('pci-passthrough-manage')
        self.assertEqual(3, len(calls))
        for call in calls:
            manager.find_command(call)

    def test_commands_of_the_client(self) -> None:
        ours = self.setup['entry_points']['openstack.pci_passthrough.v1']
        calls = [call for call in self.words('openstack') if call[0] == 'pci']
        self.assertEqual([['pci', 'host', 'list']], calls)
        self.assertIn('pci_host_list = ', ours)


class AgreementTest(base.BaseTestCase):
    """The page and the files of etc name the same users and places."""

    def setUp(self) -> None:
        super().setUp()
        self.text = install_page.PAGE.read_text()

    def values(self, option: str) -> set[str]:
        """Return the values of an option in all example files."""
        files = [*_EXAMPLES.glob('*.conf'), *_ETC.glob('nova/nova-*.conf')]
        return {
            value
            for file in files
            for value in re.findall(
                rf'^#?{option} = (.+)$', file.read_text(), flags=re.MULTILINE
            )
        }

    def test_broker(self) -> None:
        self.assertEqual(
            {'rabbit://pci:SECRET@controller:5672/pci_passthrough'},
            self.values('transport_url'),
        )
        for line in (
            'rabbitmqctl add_vhost pci_passthrough',
            'rabbitmqctl add_user pci SECRET',
            "set_permissions --vhost pci_passthrough pci '.*' '.*' '.*'",
        ):
            self.assertIn(line, self.text)

    def test_databases(self) -> None:
        urls = [
            url
            for url in map(sa.make_url, self.values('connection'))
            if url.drivername == 'mysql+pymysql'
        ]
        self.assertEqual(2, len(urls))
        for url in urls:
            self.assertEqual(
                ('SECRET', 'controller', 'pci_passthrough'),
                (url.password, url.host, url.database),
            )
            self.assertIn(
                f"CREATE USER '{url.username}'@'%' IDENTIFIED BY 'SECRET'",
                self.text,
            )

    def test_keystone(self) -> None:
        self.assertEqual({'pci-passthrough'}, self.values('username'))
        self.assertEqual({'SECRET'}, self.values('password'))
        self.assertIn('--password SECRET pci-passthrough\n', self.text)

    def test_units(self) -> None:
        """Units run the programs of the page's environment as its user."""
        for path in _ETC.glob('systemd/*.service'):
            unit = path.read_text()
            self.assertIn('\nExecStart=/opt/pci-passthrough/bin/', unit)
            self.assertIn('\nUser=pci-passthrough\n', unit)
            self.assertIn('\nLogsDirectory=pci-passthrough\n', unit)
        self.assertIn('log_dir = /var/log/pci-passthrough', self.text)

    def test_uwsgi(self) -> None:
        uwsgi = (_EXAMPLES / 'api-uwsgi.ini').read_text()
        self.assertIn('\nvirtualenv = /opt/pci-passthrough\n', uwsgi)
        self.assertIn('FILES=/etc/pci_passthrough/api.conf\n', uwsgi)
        unit = (_ETC / 'systemd/pci-passthrough-api.service').read_text()
        self.assertIn('--ini /etc/pci_passthrough/api-uwsgi.ini\n', unit)
