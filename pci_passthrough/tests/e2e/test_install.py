# SPDX-License-Identifier: Apache-2.0
"""Walks through the page that tells how to install, on bare machines."""

import configparser
import pathlib
import re
import shutil
import socket
from typing import Final

import fixtures
import testtools

from pci_passthrough.demo import inventory
from pci_passthrough.tests import install_page
from pci_passthrough.tests.e2e import bare_root
from pci_passthrough.tests.e2e import existing_cloud
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.lab import simulated_host

#: Caption to the machines on which a block's commands run. The controller is
#: the API host, too.
_PLACES: Final = {
    'anywhere, in a checkout': ('client',),
    'controller, API host, compute host': ('controller', 'compute-1'),
    'controller': ('controller',),
    'client, as the administrator of the cloud': ('client',),
    'API host': ('controller',),
    'compute host': ('compute-1',),
    "each machine with Nova's processes": ('nova',),
    'environment of the WSGI server of nova-api': ('nova',),
    'client': ('client',),
}

#: What is not done literally: a pattern of commands, and what is done
#: instead. All else runs as the page has it.
_REPLACED: Final = {
    r'^apt-get install ': "nothing: the tests' machine has the packages",
    r'^python3 -m venv ': 'with --without-pip; pip, and all that pip would '
    'fetch, are links to the Python environment of the tests',
    r'/pip (install|wheel) ': 'without a network',
    r'^systemctl enable --now ': 'the ExecStart of the unit, as its user',
    r'https://controller:8785': 'http://controller:8786, as there is no proxy',
}

#: What a service logs when it works.
_READY: Final = {
    'pci-passthrough-conductor': 'Conductor on controller is ready',
    'pci-passthrough-api': 'spawned uWSGI worker 2',
    'pci-passthrough-agent': ' devices offered, ',
}

_CHECKOUT: Final = '/root/checkout'
_SOURCES: Final = (
    'setup.py', 'setup.cfg', 'pyproject.toml', 'requirements.txt', 'LICENSE',
    'README.rst', 'etc', 'pci_passthrough',
)  # fmt: skip

_SHAPE: Final = inventory.HostShape(
    'compute-1', nics=2, vfs=3, total_vfs=8, gpus=4, nvmes=1, consumer_gpus=0
)


class InstallTestCase(testtools.TestCase):
    """The page's blocks, one after the other, and what there is then."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(existing_cloud.OwnNetwork())
        self.cloud = self.useFixture(existing_cloud.ExistingCloud())
        self.machines = {
            name: self._bare_root(name)
            for name in ('controller', 'nova', 'client')
        }
        self.machines['compute-1'] = self._compute_host()
        self._prepare()

    def _bare_root(self, name: str) -> bare_root.Machine:
        cloud = self.cloud
        root = bare_root.BareRoot(
            name, cloud.database.directory, cloud.broker.directory
        )
        return self.useFixture(root).machine

    def _compute_host(self) -> bare_root.Machine:
        host = self.useFixture(simulated_host.SimulatedHost(_SHAPE))
        machine = bare_root.Machine(
            'compute-1', host.host_root.parent.name, '--pid'
        )
        # libvirt's sockets where they are by default.
        sockets = pathlib.Path(host.uri.partition('socket=')[2]).parent
        machine.run(
            f'chmod o+rx {sockets}; mkdir -p /run/libvirt\n'
            f'ln -s {sockets}/libvirt-sock* /run/libvirt/'
        )
        return machine

    def _prepare(self) -> None:
        """Create what is there before the first step of the page."""
        self.machines['controller'].run(
            'mkdir -p /run/mysqld; ln -s '
            f'{self.cloud.database.directory}/socket /run/mysqld/mysqld.sock'
        )
        client, nova = self.machines['client'], self.machines['nova']
        checkout = client.outside(_CHECKOUT)
        checkout.mkdir(parents=True)
        for path in map(install_page.ROOT.joinpath, _SOURCES):
            if path.is_dir():
                ignored = shutil.ignore_patterns('__pycache__', '*.sample')
                shutil.copytree(path, checkout / path.name, ignore=ignored)
            else:
                shutil.copy(path, checkout)
        client.run('git init --quiet; git add --all', _CHECKOUT)
        for machine, folder in (
            (client, '/opt/openstack'),
            (nova, '/opt/nova'),
        ):
            machine.run(f'python3 -m venv --without-pip {folder}')
            machine.fill(folder)
        nova.run(
            'useradd --system --home-dir /var/lib/nova nova\n'
            'mkdir -p /etc/nova /var/lib/nova'
        )
        for file in self.cloud.nova_files:
            shutil.copy(file, nova.outside('/etc/nova'))

    def test_page(self) -> None:
        for pattern, instead in _REPLACED.items():
            print(f'Replaced: {pattern!r}: {instead}')
        used: set[str] = set()
        for block in install_page.read():
            for name in _PLACES[block.caption]:
                # The file has a test of its own, and Nova is not started.
                if block.language == 'console':
                    used |= self.walk(block, self.machines[name])
        self.assertEqual(set(_REPLACED), used)
        controller = self.machines['controller']
        listed = controller.run('pci-passthrough-manage host list')
        self.assertIn('compute-1', listed)
        listed = controller.run('pci-passthrough-manage device list')
        self.assertIn('available', listed)

    def walk(
        self, block: install_page.Block, machine: bare_root.Machine
    ) -> set[str]:
        """Run a block's commands; return the patterns of those replaced."""
        used = set()
        folder = _CHECKOUT if 'checkout' in block.caption else '/root'
        for command in block.commands:
            text = command.text
            used |= {p for p in _REPLACED if re.search(p, text)}
            if text.startswith('cd '):
                folder = text.removeprefix('cd ')
            elif text.startswith('systemctl '):
                self.start_unit(machine, text.split()[-1])
            elif not text.startswith('apt-get '):
                self.run_command(machine, text, folder)
        return used

    def run_command(
        self, machine: bare_root.Machine, text: str, folder: str
    ) -> None:
        """Run a command of the page, and print it with its output."""
        variables = dict(bare_root.OFFLINE)
        programs = ''
        if machine.name == 'client':
            programs = '/opt/openstack/bin'
            variables |= self.cloud.administrator
            variables['PBR_VERSION'] = '9.8.7'
        elif text.startswith('rabbitmqctl '):
            # The package's wrapper of it looks for another broker.
            programs = '/usr/lib/rabbitmq/bin'
            variables |= self.cloud.broker.variables
        changed = text.replace(
            'https://controller:8785', 'http://controller:8786'
        ).replace('-m venv ', '-m venv --without-pip ')
        output = machine.run(
            f'PATH={programs}:$PATH\n{changed}', folder, variables
        )
        print(f'{machine.name}: {text}\n{output}')
        if environment := re.match(r'python3 -m venv (\S+)', text):
            machine.fill(str(pathlib.PurePosixPath(folder, environment[1])))
        if '/pip wheel ' in text:
            [wheel] = machine.outside(f'{folder}/dist').glob('*.whl')
            for other in self.machines.values():
                shutil.copy(wheel, other.outside('/root'))

    def start_unit(self, machine: bare_root.Machine, name: str) -> None:
        """Start what systemd would start, and wait until it works."""
        unit = configparser.ConfigParser(
            strict=False, interpolation=None, delimiters='='
        )
        path = machine.outside(f'/etc/systemd/system/{name}.service')
        unit.read_string(path.read_text())
        service = unit['Service']
        user = service['User']
        for key, parent in (
            ('StateDirectory', '/var/lib'),
            ('LogsDirectory', '/var/log'),
            ('RuntimeDirectory', '/run'),
        ):
            if key in service:
                folder = f'{parent}/{service[key]}'
                machine.run(f'install -d -o {user} -g {user} {folder}')
        variables = {}
        if service['Type'] == 'notify':
            # An abstract socket: it belongs to the network, not to a root.
            variables['NOTIFY_SOCKET'] = f'@{name}'
            notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.addCleanup(notified.close)
            notified.settimeout(processes.PATIENCE)
            notified.bind(f'\0{name}')
        daemon = self.useFixture(
            processes.Daemon(
                f'{machine.name}-{name}',
                machine.command(
                    f'exec {service["ExecStart"]}', '/', variables, user
                ),
                self.folder,
            )
        )
        daemon.wait_for_log(_READY[name])
        while variables and b'READY=1' not in notified.recv(1000):
            continue
