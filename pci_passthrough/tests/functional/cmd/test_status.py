# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-status upgrade check``."""

import contextlib
import io
import json
import pathlib

import fixtures
import testtools

from pci_passthrough import reporting
from pci_passthrough import store
from pci_passthrough.cmd import status
from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import trackers
from pci_passthrough.tests.functional.cmd import running
from pci_passthrough.tests.unit.nova_plugin import made_up_nova

_ETC = pathlib.Path(__file__).resolve().parents[4] / 'etc' / 'nova'
_CONF = str(_ETC / 'nova-pci-passthrough.conf')
_PASTE = str(_ETC / 'api-paste-pci-passthrough.ini')

_SUCCESS, _WARNING, _FAILURE = range(3)


class StatusTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.manage = self.useFixture(running.Manage())
        self.home = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.EnvironmentVariable('HOME', self.home))

    def nova_conf(self, name: str, text: str) -> pathlib.Path:
        """Write a file where Nova's processes look for it."""
        path = pathlib.Path(self.home, '.nova', name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run_status(self, *words: str) -> running.Outcome:
        """Run the program within this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = status.main(list(words))
        return running.Outcome(code, out.getvalue(), err.getvalue())

    def check(self, *words: str) -> dict[str, tuple[int, str]]:
        """Return code and details of each check; compare the exit status."""
        outcome = self.run_status(
            f'--config-file={self.manage.config}',
            'upgrade', 'check', '--json', *words,
        )  # fmt: skip
        self.unchecked = outcome.err
        results = {
            row['check']: (row['result'], row['details'] or '')
            for row in outcome.data['checks']
        }
        self.assertEqual(
            max(code for code, _ in results.values()), outcome.status
        )
        return results

    def sync(self) -> None:
        self.assertEqual(0, self.manage.run('db', 'sync').status)

    def report(self, *hosts: str) -> store.Writer:
        database = store.Writer(self.manage.url)
        self.addCleanup(database.close)
        for host in hosts:
            report = reporting.Snapshot.of([], []).full_report(
                host=host, agent_version='1', sequence=1
            )
            reports.apply(database, report)
        return database

    def test_all_is_well(self) -> None:
        self.sync()
        trackers.register(self.report('one'), 'one', '1')
        results = self.check(f'--nova-conf={_CONF}', f'--api-paste={_PASTE}')
        code, details = results.pop("Placement's candidates")
        self.assertEqual(_SUCCESS, code)
        self.assertIn('hosts with devices: 1;', details)
        self.assertEqual(
            {
                'Database schema': (_SUCCESS, ''),
                'Hosts': (_SUCCESS, ''),
                "Nova's configuration": (_SUCCESS, ''),
                "nova-api's paste file": (_SUCCESS, ''),
            },
            results,
        )
        self.assertIn("Not checked: Nova's code: Nova is not", self.unchecked)

    def test_nothing_of_nova_is_there(self) -> None:
        self.sync()
        self.assertEqual({'Database schema', 'Hosts'}, set(self.check()))
        for name in ("Nova's configuration", "nova-api's paste file"):
            self.assertIn(f'Not checked: {name}: there is', self.unchecked)

    def test_files_are_found(self) -> None:
        self.nova_conf('nova.conf', '[DEFAULT]\n')
        self.nova_conf('nova.conf.d/90.conf', pathlib.Path(_CONF).read_text())
        paste = self.nova_conf('api-paste.ini', '[composite:x]\nuse = y\n')
        results = self.check()
        self.assertEqual((_SUCCESS, ''), results["Nova's configuration"])
        code, details = results["nova-api's paste file"]
        self.assertEqual(_WARNING, code)
        self.assertIn(f'{paste}: no filter', details)
        self.nova_conf(
            'api-paste-pci-passthrough.ini', pathlib.Path(_PASTE).read_text()
        )
        self.assertEqual((_SUCCESS, ''), self.check()["nova-api's paste file"])

    def test_list_that_takes_filters_away(self) -> None:
        isolation = 'AggregateMultiTenancyIsolation'
        conf = self.nova_conf(
            'nova.conf',
            '[filter_scheduler]\n'
            f'enabled_filters = {isolation},ComputeFilter\n',
        )
        later = self.nova_conf(
            'nova.conf.d/90.conf',
            pathlib.Path(_CONF).read_text()
            + '[filter_scheduler]\nenabled_filters = ComputeFilter\n',
        )
        code, details = self.check()["Nova's configuration"]
        self.assertEqual(_FAILURE, code)
        for text in (
            f'enabled_filters of {later} replaces that of {conf}, without '
            f'{isolation}',
            f'with {isolation},ComputeFilter',
        ):
            self.assertIn(text, details)

    def test_options_on_both_sides(self) -> None:
        self.sync()
        options = [f'--config-file={self.manage.config}', '--nova-conf', _CONF]
        for words in (
            [*options, 'upgrade', 'check', '--json'],
            ['upgrade', 'check', '--json', *options],
            ['--json', 'upgrade', *options, 'check'],
        ):
            outcome = self.run_status(*words)
            self.assertEqual(_SUCCESS, outcome.status, outcome.err)
            # The paste file is beside that nova.conf.
            self.assertEqual(5, len(outcome.data['checks']))

    def test_help(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            error = self.assertRaises(
                SystemExit, status.main, ['upgrade', 'check', '--help']
            )
        self.assertEqual(0, error.code)
        for option in ('--nova-conf', '--api-paste', '--json'):
            self.assertIn(option, out.getvalue())

    def test_nothing_to_check(self) -> None:
        self.manage.config.write_text(
            f'[DEFAULT]\nstate_path = {self.manage.folder}\n'
        )
        outcome = self.run_status(
            f'--config-file={self.manage.config}', 'upgrade', 'check'
        )
        self.assertEqual((255, ''), (outcome.status, outcome.out))
        self.assertIn('nothing to check', outcome.err)

    def test_empty_database(self) -> None:
        results = self.check()
        for name in ('Database schema', 'Hosts'):
            code, details = results[name]
            self.assertEqual(_FAILURE, code)
            self.assertIn('pci-passthrough-manage db sync', details)

    def test_database_that_cannot_be_reached(self) -> None:
        self.manage.configure('sqlite:////nowhere/pci.sqlite')
        code, details = self.check()['Database schema']
        self.assertEqual(_FAILURE, code)
        self.assertIn('cannot be used', details)

    def test_no_database(self) -> None:
        """A compute host has no database, and needs none."""
        self.manage.config.write_text(
            f'[DEFAULT]\nstate_path = {self.manage.folder}\n'
        )
        results = self.check(f'--nova-conf={_CONF}', f'--api-paste={_PASTE}')
        self.assertEqual({_SUCCESS}, {code for code, _ in results.values()})
        for name in ('Database schema', 'Hosts'):
            self.assertNotIn(name, results)
            self.assertIn(f'Not checked: {name}: [database]', self.unchecked)

    def test_embedded_database(self) -> None:
        self.manage.config.write_text(
            f'[DEFAULT]\nstate_path = {self.manage.folder}\n'
        )
        database = store.Writer(
            f'sqlite:///{self.manage.folder}/pci_passthrough.sqlite'
        )
        database.engine.connect().close()
        database.close()
        code, details = self.check()['Database schema']
        self.assertEqual(_FAILURE, code)
        self.assertIn('db sync', details)

    def test_hosts_without_tracker(self) -> None:
        self.sync()
        names = [f'host-{number:02}' for number in range(12)]
        database = self.report(*names)
        trackers.register(database, names[0], '1')
        code, details = self.check()['Hosts']
        self.assertEqual(_WARNING, code)
        self.assertIn('11 of 12 hosts', details)
        self.assertIn('host-01, ', details)
        self.assertIn('host-10, …', details)
        self.assertNotIn(names[0], details)
        self.assertNotIn(names[11], details)

    def test_more_hosts_than_candidates(self) -> None:
        self.sync()
        self.report('a', 'b', 'c')
        self.nova_conf('nova.conf', '[scheduler]\nmax_placement_results = 2\n')
        code, details = self.check()["Placement's candidates"]
        self.assertEqual(_WARNING, code)
        self.assertIn('3 hosts', details)
        self.assertIn('max_placement_results = 6', details)
        self.nova_conf('nova.conf', '[scheduler]\nmax_placement_results = 3\n')
        code, details = self.check()["Placement's candidates"]
        self.assertEqual(_SUCCESS, code)
        self.assertIn('not checked: compute hosts without', details)

    def test_nova_conf_with_faults(self) -> None:
        conf = self.manage.folder / 'nova.conf'
        conf.write_text(
            '[filter_scheduler]\nenabled_filters = NUMATopologyFilter\n'
            '[pci_passthrough]\ninsert_filter = false\n'
        )
        code, details = self.check(f'--nova-conf={conf}')[
            "Nova's configuration"
        ]
        self.assertEqual(_FAILURE, code)
        self.assertIn(f'{conf}: ', details)
        self.assertIn('config_source', details)
        self.assertIn('lacks PciFlavorFilter', details)

    def test_nova_conf_in_two_files(self) -> None:
        filters = self.manage.folder / 'filters.conf'
        filters.write_text(
            '[filter_scheduler]\nenabled_filters = ComputeFilter\n'
        )
        words = [f'--nova-conf={_CONF}', f'--nova-conf={filters}']
        for order in (words, words[::-1]):
            code, _ = self.check(*order)["Nova's configuration"]
            self.assertEqual(_SUCCESS, code)
        filters.write_text('[pci_passthrough]\ninsert_filter = false\n')
        code, details = self.check(*words)["Nova's configuration"]
        self.assertEqual(_FAILURE, code)
        self.assertIn('lacks PciFlavorFilter', details)

    def test_files_that_are_not_there(self) -> None:
        results = self.check('--nova-conf=/nowhere', '--api-paste=/nowhere')
        for name in ("Nova's configuration", "nova-api's paste file"):
            code, details = results[name]
            self.assertEqual(_FAILURE, code)
            self.assertIn('/nowhere', details)

    def test_paste_file_with_faults(self) -> None:
        paste = self.manage.folder / 'api-paste.ini'
        paste.write_text('[filter:x]\npaste.filter_factory = x:y\n')
        code, details = self.check(f'--api-paste={paste}')[
            "nova-api's paste file"
        ]
        self.assertEqual(_FAILURE, code)
        self.assertIn('no filter', details)

    def test_another_nova(self) -> None:
        nova = self.useFixture(made_up_nova.MadeUpNova())
        nova.write('nova.pci.stats', 'class PciDeviceStats:\n    pass\n')
        code, details = self.check()["Nova's code"]
        self.assertEqual(_FAILURE, code)
        self.assertIn('PciDeviceStats.support_requests', details)

    def test_for_people(self) -> None:
        outcome = self.run_status(
            f'--config-file={self.manage.config}', 'upgrade', 'check'
        )
        self.assertEqual(_FAILURE, outcome.status)
        self.assertIn('Check: Database schema', outcome.out)
        self.assertIn('Result: Failure', outcome.out)

    def test_wrong_configuration(self) -> None:
        outcome = self.run_status('--config-file=/nowhere', 'upgrade', 'check')
        self.assertEqual(255, outcome.status)
        self.assertIn('pci-passthrough-status: ', outcome.err)
        self.assertNotIn('Traceback', outcome.err)


class ProgramTestCase(testtools.TestCase):
    def test_installed(self) -> None:
        folder = self.useFixture(fixtures.TempDir()).path
        config = pathlib.Path(folder, 'pci.conf')
        config.write_text(f'[database]\nconnection = sqlite:///{folder}/x\n')
        outcome = running.run_program(
            'pci-passthrough-status',
            f'--config-file={config}', 'upgrade', 'check', '--json',
        )  # fmt: skip
        self.assertEqual(_FAILURE, outcome.status, outcome.err)
        checks = json.loads(outcome.out)['checks']
        self.assertEqual('Database schema', checks[0]['check'])
