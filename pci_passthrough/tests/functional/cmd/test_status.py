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
            *words, 'upgrade', 'check', '--json',
        )  # fmt: skip
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
        self.assertEqual(
            {
                'Database schema': (_SUCCESS, ''),
                'Hosts': (_SUCCESS, ''),
                "Nova's code": (
                    _SUCCESS, 'not checked: Nova is not installed here',
                ),
                "Nova's configuration": (_SUCCESS, ''),
                "nova-api's paste file": (_SUCCESS, ''),
            },
            results,
        )  # fmt: skip

    def test_nothing_of_nova_is_named(self) -> None:
        self.sync()
        results = self.check()
        for name in ("Nova's configuration", "nova-api's paste file"):
            code, details = results[name]
            self.assertEqual(_SUCCESS, code)
            self.assertIn('not checked: no --', details)

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
        """A compute host has no database, and gets a warning."""
        self.manage.config.write_text(
            f'[DEFAULT]\nstate_path = {self.manage.folder}\n'
        )
        for name in ('Database schema', 'Hosts'):
            code, details = self.check()[name]
            self.assertEqual(_WARNING, code)
            self.assertIn('not checked', details)

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

    def test_nova_conf_with_faults(self) -> None:
        conf = self.manage.folder / 'nova.conf'
        conf.write_text(
            '[filter_scheduler]\nenabled_filters = NUMATopologyFilter\n'
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
        code, details = self.check(*words)["Nova's configuration"]
        self.assertEqual(_FAILURE, code)
        self.assertIn('lacks PciFlavorFilter', details)
        code, _ = self.check(*reversed(words))["Nova's configuration"]
        self.assertEqual(_SUCCESS, code)

    def test_nova_conf_without_filters(self) -> None:
        conf = self.manage.folder / 'nova.conf'
        conf.write_text(
            '[DEFAULT]\nconfig_source = pci_passthrough\n'
            '[pci_passthrough]\ndriver = pci_passthrough\n'
        )
        code, details = self.check(f'--nova-conf={conf}')[
            "Nova's configuration"
        ]
        self.assertEqual(_WARNING, code)
        self.assertIn('enabled_filters', details)

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
        self.assertEqual(5, len(json.loads(outcome.out)['checks']))
