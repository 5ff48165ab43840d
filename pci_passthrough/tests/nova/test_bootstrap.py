# SPDX-License-Identifier: Apache-2.0
"""Tests that Nova's programs start with the Nova plugin, or not at all.

Each test starts them as processes with its own ``nova.conf``, and inspects
them when they would begin to serve. There is no broker and no Placement;
Nova's databases are empty.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import fixtures
from nova.db.api import models as api_models
from nova.db.main import models as main_models
import sqlalchemy
import testtools

from pci_passthrough.nova_plugin.install import replacements

_NOVA = pathlib.Path(
    str(importlib.util.find_spec('nova').origin)  # type: ignore[union-attr]
).parent

_CONF = """
[DEFAULT]
transport_url = fake:/
compute_driver = fake.FakeDriver
state_path = {folder}
{default}

[api_database]
connection = sqlite:///{folder}/api.sqlite

[database]
connection = sqlite:///{folder}/main.sqlite

[placement]
auth_type = none
endpoint_override = http://127.0.0.1:1

[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = {filter}
enabled_filters = ComputeFilter,{enabled}

[pci_passthrough]
{group}
"""

_FILTER = 'pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter'

#: The example files for operators.
_ETC = pathlib.Path(__file__).resolve().parents[3] / 'etc' / 'nova'
_PASTE = 'api-paste-pci-passthrough.ini'

_SOURCE = 'config_source = pci_passthrough'
_DRIVER = 'driver = pci_passthrough'

#: Runs a program's ``main`` until it would serve or wait for its peers.
_SERVICE = """
import importlib
import json
import sys

command = importlib.import_module('nova.cmd.' + sys.argv[0][len('nova-'):])
from nova import service
from nova.conductor import api


def show(*args, **kwargs):
    from pci_passthrough.nova_plugin.install import bootstrap
    if sys.argv[0] == 'nova-compute':
        # As its manager does after this.
        importlib.import_module('nova.virt.libvirt.driver')
    print('\\nSEEN ' + json.dumps(bootstrap.replaced()))
    sys.exit(0)


service.serve = show
api.API.wait_until_ready = show
command.main()
"""

#: Loads nova-api as a WSGI server does.
_API = """
import json
from nova.wsgi import osapi_compute
from pci_passthrough.nova_plugin.install import bootstrap
assert callable(osapi_compute.application)
print('\\nSEEN ' + json.dumps(bootstrap.replaced()))
"""

_REQUESTS = 'nova.pci.request:get_pci_requests_from_flavor'
_GROUPS = (
    'nova.objects.request_spec:'
    'RequestSpec.generate_request_groups_from_pci_requests'
)
#: Modules that one process has, and nova-compute has not: the task of
#: nova-conductor that moves instances, and what has the filters and calls
#: them.
_OWN_MODULES = {
    'nova-conductor': {'nova.conductor.tasks.migrate'},
    'nova-scheduler': {
        'nova.scheduler.host_manager',
        'nova.scheduler.manager',
    },
}


def _replacements_in(name: str) -> set[str]:
    """Return what a process replaces, and of all but nova-compute its own."""
    modules = set().union(*_OWN_MODULES.values())
    return {
        str(replacement)
        for replacement in replacements.REPLACEMENTS
        if replacement.module in _OWN_MODULES.get(name, ())
        or (name == 'nova-compute' and replacement.module not in modules)
    }


_PASTE_FILTER = """
[filter:pci_passthrough]
paste.filter_factory = pci_passthrough.nova_plugin.middleware:factory
"""


class ProcessTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name, models in (('api', api_models), ('main', main_models)):
            engine = sqlalchemy.create_engine(
                f'sqlite:///{self.folder}/{name}.sqlite'
            )
            models.BASE.metadata.create_all(engine)
            engine.dispose()
        shutil.copy(self.paste_file(), self.folder / 'api-paste.ini')
        self.python_path: list[str] = []
        self.environment: dict[str, str] = {}

    def paste_file(self) -> pathlib.Path:
        """Return the path of Nova's api-paste.ini."""
        state = pathlib.Path(os.environ['OS_DEFAULT__STATE_PATH'])
        return state / 'etc' / 'nova' / 'api-paste.ini'

    def configure(
        self, default: str = '', group: str = '', with_filter: bool = False
    ) -> None:
        """Write nova.conf.

        :param default: a line for ``[DEFAULT]``.
        :param group: a line for ``[pci_passthrough]``.
        """
        (self.folder / 'nova.conf').write_text(
            _CONF.format(
                folder=self.folder,
                default=default,
                group=group,
                filter=_FILTER,
                enabled='PciFlavorFilter' if with_filter else 'ComputeFilter',
            )
        )

    def run_python(
        self, code: str, prog: str, *words: str
    ) -> subprocess.CompletedProcess[str]:
        """Run code as a program with some name."""
        environment = {
            name: value
            for name, value in os.environ.items()
            # The tests have other values than a program.
            if not name.startswith(('OS_', 'PYTHONPATH'))
        }
        environment |= {
            'OS_NOVA_CONFIG_DIR': str(self.folder),
            'PYTHONPATH': os.pathsep.join(self.python_path),
            'PYTHONWARNINGS': 'ignore',
            **self.environment,
        }
        name = f'import sys; sys.argv[0] = {prog!r}\n'
        return subprocess.run(
            [sys.executable, '-c', name + code, *words],
            cwd=self.folder, env=environment, text=True, check=False,
            capture_output=True, timeout=600,
        )  # fmt: skip

    def start(self, name: str) -> subprocess.CompletedProcess[str]:
        if name == 'nova-api':
            # A WSGI server has its own name and arguments.
            return self.run_python(_API, 'uwsgi')
        return self.run_python(
            _SERVICE, name, '--config-file', str(self.folder / 'nova.conf')
        )

    def replaced(self, name: str) -> set[str]:
        """Start a program; return the symbols of Nova that it has replaced."""
        done = self.start(name)
        self.assertEqual(0, done.returncode, done.stderr)
        [seen] = [
            line for line in done.stdout.splitlines() if line[:5] == 'SEEN '
        ]
        return set(json.loads(seen[5:]))

    def refused(self, name: str, words: str = 'PciDeviceStats') -> str:
        """Start a program that must not start; return its output."""
        done = self.start(name)
        self.assertNotEqual(0, done.returncode, done.stdout)
        self.assertNotIn('SEEN', done.stdout)
        output = done.stdout + done.stderr
        self.assertIn(words, output)
        return output

    def add_paste_filter(self) -> None:
        path = self.folder / 'api-paste.ini'
        text = path.read_text()
        app = ' osapi_compute_app_v21\n'
        self.assertIn(app, text)
        path.write_text(
            text.replace(app, f' pci_passthrough{app}') + _PASTE_FILTER
        )

    def change_nova(self, old: str, new: str) -> None:
        """Let the programs import a Nova with another ``nova.pci.stats``."""
        nova = self.folder / 'changed' / 'nova'
        (nova / 'pci').mkdir(parents=True)
        for source, target in (
            (_NOVA, nova),
            (_NOVA / 'pci', nova / 'pci'),
        ):
            for path in source.iterdir():
                if path.name not in ('pci', '__pycache__', 'stats.py'):
                    (target / path.name).symlink_to(path)
        text = (_NOVA / 'pci' / 'stats.py').read_text()
        self.assertIn(old, text)
        (nova / 'pci' / 'stats.py').write_text(text.replace(old, new))
        self.python_path = [str(nova.parent)]


class InstalledTestCase(ProcessTestCase):
    def test_one_configuration_for_all_processes(self) -> None:
        self.configure(_SOURCE, _DRIVER, with_filter=True)
        for name in ('nova-conductor', 'nova-scheduler', 'nova-api'):
            replaced = self.replaced(name)
            self.assertLessEqual({_REQUESTS, _GROUPS}, replaced)
            self.assertLessEqual(_replacements_in(name), replaced)
        self.assertEqual(
            _replacements_in('nova-compute'), self.replaced('nova-compute')
        )

    def test_paste_filter_alone(self) -> None:
        self.configure()
        self.add_paste_filter()
        self.assertLessEqual({_REQUESTS, _GROUPS}, self.replaced('nova-api'))

    def test_paste_file_in_the_place_of_novas(self) -> None:
        self.configure()
        shutil.copy(_ETC / _PASTE, self.folder)
        self.environment['OS_NOVA_CONFIG_FILES'] = f'{_PASTE};nova.conf'
        self.assertLessEqual({_REQUESTS, _GROUPS}, self.replaced('nova-api'))

    def test_filter_alone(self) -> None:
        self.configure(with_filter=True)
        self.assertIn(_GROUPS, self.replaced('nova-scheduler'))

    def test_compute_that_config_source_does_not_reach(self) -> None:
        """The plugin of os-vif installs it."""
        self.configure(group=_DRIVER)
        self.assertEqual(
            _replacements_in('nova-compute'), self.replaced('nova-compute')
        )
        self.configure(_SOURCE)
        self.assertEqual(
            _replacements_in('nova-compute'), self.replaced('nova-compute')
        )

    def test_merely_installed(self) -> None:
        self.configure()
        for name in (
            'nova-conductor', 'nova-scheduler', 'nova-compute', 'nova-api',
        ):  # fmt: skip
            self.assertEqual(set(), self.replaced(name), name)


class RefusedTestCase(ProcessTestCase):
    """A Nova whose code differs from the tested releases."""

    def check_stops(self, name: str) -> None:
        output = self.refused(name)
        self.assertIn(
            'nova.pci.stats:PciDeviceStats.support_requests (overridden: '
            'decides whether a host can serve requests): is missing; '
            'expected is '
            'support_requests(self, requests, ',
            output,
        )
        self.assertIn('Install a tested release of Nova', output)

    def rename(self) -> None:
        self.change_nova('def support_requests(', 'def supports_requests(')

    def test_by_config_source(self) -> None:
        self.rename()
        self.configure(_SOURCE, _DRIVER)
        for name in (
            'nova-conductor', 'nova-scheduler', 'nova-compute', 'nova-api',
        ):  # fmt: skip
            self.check_stops(name)

    def test_by_os_vif(self) -> None:
        self.rename()
        self.configure(group=_DRIVER)
        self.check_stops('nova-compute')

    def test_by_the_filter(self) -> None:
        self.rename()
        self.configure(with_filter=True)
        self.check_stops('nova-scheduler')

    def test_by_the_paste_filter(self) -> None:
        self.rename()
        self.configure()
        self.add_paste_filter()
        self.check_stops('nova-api')

    def test_unknown_code_that_an_operator_accepts(self) -> None:
        self.change_nova('copy.deepcopy(self)', 'copy.copy(self)')
        self.configure(_SOURCE, _DRIVER)
        output = self.refused('nova-compute', 'the code is unknown')
        [option] = [
            line.strip()
            for line in output.splitlines()
            if 'accepted_nova_changes = ' in line
        ]
        self.configure(_SOURCE, f'{_DRIVER}\n{option}')
        self.assertEqual(
            _replacements_in('nova-compute'), self.replaced('nova-compute')
        )

    def test_group_of_another_name(self) -> None:
        self.configure('config_source = pci')
        path = self.folder / 'nova.conf'
        path.write_text(path.read_text() + f'[pci]\n{_DRIVER}\n')
        self.refused('nova-compute', 'must be named pci_passthrough')

    def test_tools_run_nevertheless(self) -> None:
        """Tools use no devices, and operators need them now."""
        self.rename()
        self.configure(_SOURCE, _DRIVER)
        done = self.run_python(
            'from nova.cmd import manage; sys.exit(manage.main())',
            'nova-manage',
            '--config-file', str(self.folder / 'nova.conf'),
            'cell_v2', 'list_cells',
        )  # fmt: skip
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn('Name', done.stdout)

    def test_privsep_helper_runs_nevertheless(self) -> None:
        self.rename()
        self.configure(_SOURCE, _DRIVER)
        done = self.run_python(
            'from oslo_privsep import daemon; daemon.helper_main()',
            'privsep-helper',
            '--config-file', str(self.folder / 'nova.conf'),
            '--privsep_context', 'nova.privsep.sys_admin_pctxt',
            '--privsep_sock_path', str(self.folder / 'no-such-socket'),
        )  # fmt: skip
        # The helper fails later: its parent's socket does not exist.
        output = done.stdout + done.stderr
        self.assertIn('FileNotFoundError', output)
        self.assertNotIn('pci_passthrough', output)
