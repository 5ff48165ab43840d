# SPDX-License-Identifier: Apache-2.0
"""The wheel: its files, and programs that run from it alone."""

import configparser
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import fixtures
from oslo_config import cfg
import testtools

import pci_passthrough
from pci_passthrough import conf as conf_module
from pci_passthrough.api import policies
from pci_passthrough.conf import nova as nova_options

_ROOT = pathlib.Path(pci_passthrough.__file__).resolve().parent.parent

#: Entry points that import Nova or os-vif; there is none here. The tests
#: within Nova load them.
_OF_NOVA = (
    'nova.api.extra_spec_validators', 'os_vif', 'paste.filter_factory',
)  # fmt: skip

#: What the build reads; the rest of a checkout may be large.
_SOURCES = (
    'setup.py', 'setup.cfg', 'pyproject.toml', 'requirements.txt', 'LICENSE',
    'README.rst', 'etc', 'pci_passthrough',
)  # fmt: skip


def _is_rubbish(path: pathlib.Path) -> bool:
    """Return whether a tool created the file; git ignores it."""
    return any(
        part == '__pycache__' or part.startswith('.') for part in path.parts
    )


class WheelTestCase(testtools.TestCase):
    """All checks are in one test, because the build takes long."""

    def setUp(self) -> None:
        super().setUp()
        if not (_ROOT / 'setup.cfg').exists():
            self.fail('run this from a checkout: there is no setup.cfg')
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.installed = self.folder / 'installed'

    def run_quietly(self, *words: str, **options: object) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        self.assertEqual(0, done.returncode, done.stdout)
        return str(done.stdout)

    def build(self) -> None:
        """Build a wheel as from a fresh clone, and unpack it.

        pbr takes what git knows: the copy gets a repository of its own, so
        that what is not committed yet is tested, too.
        """
        source = self.folder / 'source'
        source.mkdir()
        for name in _SOURCES:
            path = _ROOT / name
            if path.is_dir():
                shutil.copytree(
                    path,
                    source / name,
                    ignore=shutil.ignore_patterns(
                        '__pycache__', '.*', '*.sample'
                    ),
                )
            elif path.exists():
                shutil.copy(path, source)
        self.run_quietly('git', '-C', str(source), 'init', '--quiet')
        self.run_quietly('git', '-C', str(source), 'add', '--all')
        self.run_quietly(
            sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
            '--no-build-isolation', '--wheel-dir', str(self.folder),
            str(source), env={**os.environ, 'PBR_VERSION': '9.8.7'},
        )  # fmt: skip
        [wheel] = self.folder.glob('*.whl')
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.installed)

    def run_installed(self, code: str, *words: str) -> str:
        """Run code with the unpacked wheel instead of the checkout."""
        libraries = [
            path for path in sys.path if path.endswith('site-packages')
        ]
        # -S leaves out the .pth file that leads to the checkout.
        return self.run_quietly(
            sys.executable, '-S', '-c', code, *words,
            env={
                **os.environ,
                'PYTHONPATH': os.pathsep.join(
                    [str(self.installed), *libraries]
                ),
            },
        )  # fmt: skip

    def test_wheel(self) -> None:
        self.build()
        self.check_files()
        points = self.check_entry_points()
        self.assertIn('console_scripts', points)
        self.check_data_files()
        self.check_sample_configuration()
        self.check_sample_policies()

    def check_files(self) -> None:
        package = self.installed / 'pci_passthrough'
        for path in (_ROOT / 'pci_passthrough').rglob('*'):
            within = path.relative_to(_ROOT / 'pci_passthrough')
            if path.is_file() and not _is_rubbish(within):
                inside = package / within
                self.assertTrue(inside.exists(), str(inside))
        for name in ('py.typed', 'store/migrations/env.py'):
            self.assertTrue((package / name).exists(), name)
        self.assertTrue(
            list((package / 'store/migrations/versions').glob('0*.py'))
        )

    def check_entry_points(self) -> configparser.ConfigParser:
        [metadata] = self.installed.glob('*.dist-info')
        points = configparser.ConfigParser(delimiters='=')
        points.optionxform = str  # type: ignore[assignment,method-assign]
        points.read(metadata / 'entry_points.txt')
        self.assertLessEqual(set(_OF_NOVA), set(points.sections()))
        # One process for all, because each start takes long.
        where = self.run_installed(
            'import importlib.metadata as m, sys\n'
            'for group in sys.argv[1:]:\n'
            '    for point in m.entry_points(group=group):\n'
            '        if point.module.startswith("pci_passthrough."):\n'
            '            print(group, point.name, bool(point.load()))\n'
            'print(sys.modules["pci_passthrough"].__file__)',
            *sorted(set(points.sections()) - set(_OF_NOVA)),
        )
        self.assertIn(str(self.installed), where.splitlines()[-1])
        for group in set(points.sections()) - set(_OF_NOVA):
            for name in points[group]:
                self.assertIn(f'{group} {name} True\n', where)
        said = self.run_installed(
            'import importlib.metadata as m, sys\n'
            'for point in m.entry_points(group="console_scripts"):\n'
            '    if point.module.startswith("pci_passthrough."):\n'
            '        sys.argv = [point.name, "--version"]\n'
            '        try:\n'
            '            sys.exit(point.load()())\n'
            '        except SystemExit as end:\n'
            '            print("", point.name, end.code or 0)'
        )
        for name in points['console_scripts']:
            self.assertRegex(said, rf'9\.8\.7\n {name} 0\n')
        return points

    def check_data_files(self) -> None:
        """Check that all of git's files of ``etc`` are installed."""
        [data] = self.installed.glob('*.data')
        share = data / 'data/share/pci_passthrough'
        wanted = set()
        for path in (_ROOT / 'etc').rglob('*'):
            within = path.relative_to(_ROOT / 'etc')
            if path.is_file() and path.suffix != '.sample':
                wanted.add(
                    within.relative_to('pci_passthrough')
                    if within.parts[0] == 'pci_passthrough'
                    else within
                )
        self.assertEqual(
            wanted,
            {
                path.relative_to(share)
                for path in data.rglob('*')
                if path.is_file()
            },
        )

    def check_sample_configuration(self) -> None:
        self.check_sample(
            'etc/pci_passthrough/config-generator.conf',
            conf_module.list_opts(),
            '[database]',
            '[oslo_messaging_rabbit]',
            '[keystone_authtoken]',
            '[oslo_policy]',
        )
        self.check_sample(
            'etc/nova/config-generator.conf', nova_options.list_opts()
        )

    def check_sample_policies(self) -> None:
        sample = self.folder / 'policies'
        self.run_installed(
            'import sys\n'
            'from oslo_policy import generator\n'
            'sys.exit(generator.generate_sample(sys.argv[1:]))',
            '--config-file',
            str(_ROOT / 'etc/pci_passthrough/policy-generator.conf'),
            '--output-file',
            str(sample),
        )
        text = sample.read_text()
        rules = policies.list_rules()
        self.assertEqual(
            [],
            [r.name for r in rules if f'\n#"{r.name}": "' not in text],
        )

    def check_sample(
        self,
        config: str,
        listed: list[tuple[str | None, list[cfg.Opt]]],
        *wanted_groups: str,
    ) -> None:
        sample = self.folder / 'sample'
        self.run_installed(
            'import sys\n'
            'from oslo_config import generator\n'
            'sys.exit(generator.main(sys.argv[1:]))',
            '--config-file',
            str(_ROOT / config),
            '--output-file',
            str(sample),
        )
        text = sample.read_text()
        wanted = list(wanted_groups)
        for group, options in listed:
            wanted.append(f'[{group or "DEFAULT"}]')
            for option in options:
                first = (option.help or '').strip().partition('\n')[0]
                wanted += [f'\n#{option.dest} =', f'# {first[:40]}']
        # assertIn would print the whole text for each.
        self.assertEqual([], [words for words in wanted if words not in text])
