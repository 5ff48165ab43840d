# SPDX-License-Identifier: Apache-2.0
"""The files of the distribution: all are in the wheel, and are current."""

import pathlib
import sys
from typing import Final
import zipfile

import fixtures
from oslo_policy import generator
import testtools
import yaml

from pci_passthrough.tests.e2e import processes

_PACKAGE: Final = pathlib.Path(__file__).parents[1]


class FilesTest(testtools.TestCase):
    def test_wheel(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        processes.run(
            [
                sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
                '--no-build-isolation', '--wheel-dir', folder,
                _PACKAGE.parent,
            ],
            folder / 'log',
        )  # fmt: skip
        [wheel] = folder.glob('*.whl')
        with zipfile.ZipFile(wheel) as archive:
            packed = set(archive.namelist())
        files = {
            str(path.relative_to(_PACKAGE.parent))
            for path in _PACKAGE.rglob('*')
            if path.is_file() and path.suffix != '.pyc'
        }
        self.assertEqual(set(), files - packed)

    def test_policies_are_those_of_the_service(self) -> None:
        text = (_PACKAGE / 'conf/default_policies.yaml').read_text()
        rules = generator.get_policies_dict(['pci_passthrough'])
        # If not, `make dashboard/policies` writes them anew.
        self.assertEqual(
            {
                rule.name: (rule.check_str, rule.description)
                for rule in rules['pci_passthrough']
            },
            {
                rule['name']: (rule['check_str'], rule['description'])
                for rule in yaml.safe_load(text)
            },
        )
