# SPDX-License-Identifier: Apache-2.0
"""``import-nova`` and ``export-nova``."""

import json
import pathlib

import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough.specs import pci_information
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.cmd import running

_NOVA = """
[DEFAULT]
pci_passthrough_whitelist = [{"vendor_id": "8086"}, {"vendor_id": "10de"}]
pci_alias = {"name": "gpu", "vendor_id": "10de", "product_id": "2330"}
[pci]
passthrough_whitelist = {"address": {"bus": "0[23]", "function": "[0-3]$$"}}
device_spec = {"vendor_id": "15b3",
    "physical_network": "physnet1"}
alias = {"name": "nic", "vendor_id": "8086", "product_id": "1889",
    "device_type": "type-VF", "numa_policy": "required"}
alias = {"name": "nic", "vendor_id": "8086", "product_id": "154c",
    "device_type": "type-VF", "numa_policy": "required"}
"""

_ODD = """
[pci]
device_spec = {"vendor_id": "15b3", "remote_managed": "yes"}
alias = {"name": "a/b", "vendor_id": "8086", "product_id": "1889"}
"""

_MISTAKES = """
[default]
pci_alias = {"name": "x", "vendor_id": "8086", "product_id": "1889"}
[pci]
device_spec = [{"physical_network": "default"}]
device_spec = {"vendor_id": "10de", "device_id": "26b9"}
device_spec = {"vendor_id": "8086"}
"""

_HINT = 'becomes pci_passthrough:pci_flavor=a1:2'


class NovaConfTestCase(testtools.TestCase):
    """Base: a nova.conf, and a database without PCI flavors."""

    def setUp(self) -> None:
        super().setUp()
        self.manage = self.useFixture(running.Manage())
        sqlite.create(self.manage.database)
        self.nova = self.write('nova.conf', _NOVA)
        self.output = self.manage.folder / 'agent.conf'

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.manage.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def run_import(
        self, *words: str, status: int = 0, conf: pathlib.Path | None = None
    ) -> running.Outcome:
        outcome = self.manage.run(
            'import-nova', f'--nova-conf={conf or self.nova}', *words
        )
        self.assertEqual(status, outcome.status, outcome.err)
        return outcome

    def run_export(self, *words: str, status: int = 0) -> running.Outcome:
        outcome = self.manage.run('export-nova', *words)
        self.assertEqual(status, outcome.status, outcome.err)
        return outcome

    def flavors(self) -> list[str]:
        listed = self.manage.run('flavor', 'list', '--format=json').data
        return [row['Name'] for row in listed]


class ImportTestCase(NovaConfTestCase):
    """Tests of ``import-nova``."""

    def test_shows(self) -> None:
        """Without --create nothing is changed, and no database is needed."""
        self.manage.configure('sqlite:////nowhere/x.sqlite')
        outcome = self.run_import('--strict')
        snippet, _, table = outcome.out.partition('\n\n')
        path = self.write('shown.conf', snippet)
        conf = conf_module.load([], 'test', [str(path)])
        information = pci_information.PciInformation.parse(
            conf.agent.pci_information
        )
        self.assertEqual(4, len(information.entries))
        self.assertIn('[0-3]$"', conf.agent.pci_information[2])
        self.assertIn('vendor_id=8086,product_id=154c,dev_type=type-VF', table)
        self.assertIn('required', table)
        self.assertIn(_HINT, outcome.err)

    def test_for_machines(self) -> None:
        gpu, nic = self.run_import('--format=json').data
        self.assertEqual(
            {
                'Name': 'gpu',
                'Match': [
                    {
                        'vendor_id': '10de',
                        'product_id': '2330',
                        'dev_type': ['type-PCI', 'type-VF'],
                    }
                ],
                'NUMA Policy': None,
            },
            gpu,
        )
        self.assertEqual(2, len(nic['Match']))

    def test_creates_once(self) -> None:
        outcome = self.run_import('--create', '--format=json')
        self.assertEqual(
            ['created', 'created'], [row['Result'] for row in outcome.data]
        )
        self.assertEqual(['gpu', 'nic'], self.flavors())
        self.manage.run('flavor', 'set', 'nic', '--match=e.a=b')
        outcome = self.run_import('--create', '--strict', status=3)
        self.assertIn('kept', outcome.out)
        self.assertIn('different', outcome.out)
        self.assertIn("PCI flavor 'nic': not created", outcome.err)
        self.assertIn('another match;', outcome.err)
        (shown,) = self.manage.run(
            'flavor', 'show', 'nic', '--format=json'
        ).data['match']
        self.assertEqual({'e.a': 'b'}, shown)

    def test_creates_private_ones(self) -> None:
        self.run_import('--create', '--private', '--project=p', '--share=q')
        shown = self.manage.run('flavor', 'show', 'gpu', '--format=json').data
        self.assertEqual(
            (False, 'p', ['q']),
            (shown['is_public'], shown['project_id'], shown['access']),
        )
        outcome = self.run_import('--create', status=0)
        self.assertIn('another is_public, access, project_id', outcome.err)

    def test_output(self) -> None:
        outcome = self.run_import(f'--output={self.output}')
        self.assertNotIn('[agent]', outcome.out)
        text = self.output.read_text()
        self.assertIn('\n[agent]\npci_information = {', text)
        outcome = self.run_import(
            f'--output={self.output}', '--create', conf=self.nova, status=1
        )
        self.assertIn('--force', outcome.err)
        self.assertEqual([], self.flavors())
        self.run_import('--output=/nowhere/x.conf', '--create', status=1)
        self.assertEqual([], self.flavors())
        odd = self.write('odd.conf', _ODD)
        self.run_import(f'--output={self.output}', '--force', conf=odd)
        self.assertIn('"exclude": true', self.output.read_text())
        self.assertEqual(
            [self.output], list(self.manage.folder.glob('*agent.conf*'))
        )

    def test_files_add_up(self) -> None:
        for name, product in (('2.conf', '0002'), ('1.conf', '0001')):
            self.write(
                f'conf.d/{name}',
                f'[pci]\ndevice_spec = {{"product_id": "{product}"}}\n',
            )
        folder = self.manage.folder / 'conf.d'
        outcome = self.run_import(f'--nova-conf-dir={folder}')
        self.assertRegex(outcome.out, '(?s)physnet1.*"0001".*"0002".*Name')

    def test_placement_is_looked_at(self) -> None:
        self.write(
            'placement.conf',
            '[filter_scheduler]\npci_in_placement = true\n'
            '[pci]\nalias = {"name": "p", "resource_class": "x"}\n',
        )
        path = self.manage.folder / 'placement.conf'
        (draft,) = self.run_import('--format=json', conf=path).data
        self.assertEqual('CUSTOM_X', draft['Match'][0]['e.resource_class'])

    def test_reports(self) -> None:
        odd = self.write('odd.conf', _ODD)
        outcome = self.run_import(conf=odd)
        self.assertIn(
            f'{odd}: [pci] device_spec = {{"vendor_id": "15b3", '
            '"remote_managed": "yes"}: key \'remote_managed\': ',
            outcome.err,
        )
        self.assertIn("key 'name': the alias was left out", outcome.err)
        self.run_import('--strict', conf=odd, status=3)

    def test_mistakes(self) -> None:
        """A script notices, although the rest is translated."""
        path = self.write('mistakes.conf', _MISTAKES)
        outcome = self.run_import(conf=path, status=3)
        self.assertEqual(1, outcome.out.count('pci_information = '))
        first, second, third = outcome.err.splitlines()
        self.assertIn('every device of the host', first)
        self.assertIn("did you mean 'product_id'?", second)
        self.assertIn(
            f'{path}: [default] pci_alias: has no effect: it is not read '
            'from there; did you mean [DEFAULT] pci_alias?',
            third,
        )

    def test_malformed(self) -> None:
        """No file is written if one of the values is wrong."""
        wrong = self.write('wrong.conf', _NOVA + "alias = {'name': 'x'}\n")
        outcome = self.run_import(
            '--create', f'--output={self.output}', conf=wrong, status=1
        )
        self.assertIn(
            f"{wrong}: [pci] alias = {{'name': 'x'}}: not JSON", outcome.err
        )
        self.assertIn('right would be, for example: {', outcome.err)
        self.assertEqual([], self.flavors())
        self.assertFalse(self.output.exists())

    def test_unreadable(self) -> None:
        for text in (
            '[pci]\nalias = {"name": "$nothing"}\n',
            'no section\n[',
            '[filter_scheduler]\npci_in_placement = perhaps\n',
        ):
            path = self.write('bad.conf', text)
            outcome = self.run_import(conf=path, status=1)
            self.assertIn(str(path), outcome.err)
            self.assertNotIn('Traceback', outcome.err)
        path.write_bytes(b'[pci]\nalias = \xff\n')
        self.assertIn(str(path), self.run_import(conf=path, status=1).err)
        missing = self.manage.folder / 'missing.conf'
        self.assertIn(
            str(missing), self.run_import(conf=missing, status=1).err
        )
        for words in ((), (f'--nova-conf-dir={missing}',)):
            outcome = self.manage.run('import-nova', *words)
            self.assertEqual(1, outcome.status)
            self.assertIn('conf', outcome.err)


class ExportTestCase(NovaConfTestCase):
    """Tests of ``export-nova``."""

    def test_there_and_back(self) -> None:
        """An import of the export has the same result."""
        first = self.run_import('--create', f'--output={self.output}')
        back = self.manage.folder / 'back.conf'
        outcome = self.run_export(
            f'--pci-information={self.output}', f'--output={back}', '--strict'
        )
        self.assertEqual('', outcome.out)
        self.assertIn('becomes pci_passthrough:alias=a1:2', outcome.err)
        again = self.run_import('--create', conf=back)
        self.assertEqual(first.out.count('created'), again.out.count('kept'))
        self.assertEqual(
            _entries(self.output.read_text()),
            _entries(self.run_import(conf=back).out),
        )

    def test_of_one_pci_flavor(self) -> None:
        self.run_import('--create')
        out = self.run_export('--pci-flavor=gpu').out
        self.assertEqual(1, out.count('alias = '))
        self.assertNotIn('pci_in_placement', out)
        out = self.run_export('--pci-flavor=nic').out
        self.assertIn('Needs [filter_scheduler] pci_in_placement = false', out)
        outcome = self.run_export('--pci-flavor=none', status=1)
        self.assertIn("'none'", outcome.err)

    def test_without_a_database(self) -> None:
        self.manage.configure('sqlite:////nowhere/x.sqlite')
        path = self.write(
            'mine.conf',
            '[agent]\n'
            'pci_information = [{"vendor_id": "10de"}, {"e.a": "$$b"}]\n'
            'pci_information = {"address": "65:*.*", "exclude": true}\n'
            'pci_information = {"vendor_id": "8086"}\n'
            'pci_information = {"class": "network"}\n',
        )
        words = [f'--pci-information={path}', '--no-pci-flavor']
        outcome = self.run_export(*words)
        *_, section, line, held, other = outcome.out.splitlines()
        self.assertEqual('[pci]', section)
        self.assertEqual(
            'device_spec = {"vendor_id": "10de", "a": "$$b"}', line
        )
        self.assertIn('# Held back: it would offer excluded devices', held)
        self.assertEqual('# device_spec = {"vendor_id": "8086"}', other)
        self.assertIn("key 'class': the entry was left out", outcome.err)
        self.run_export(*words, '--strict', status=3)

    def test_malformed(self) -> None:
        path = self.write('mine.conf', '[agent]\npci_information = {}\n')
        outcome = self.run_export(
            f'--pci-information={path}', f'--output={self.output}', status=1
        )
        self.assertIn(f'{path}: pci_information entry {{}}', outcome.err)
        self.assertFalse(self.output.exists())
        self.output.write_text('')
        outcome = self.run_export(f'--output={self.output}', status=1)
        self.assertIn('--force', outcome.err)


def _entries(text: str) -> list[object]:
    return [
        json.loads(line.removeprefix('pci_information = '))
        for line in text.replace('$$', '$').splitlines()
        if line.startswith('pci_information')
    ]
