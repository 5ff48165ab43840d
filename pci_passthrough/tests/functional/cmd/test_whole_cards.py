# SPDX-License-Identifier: Apache-2.0
"""PCI flavors of a vGPU card: whole cards, slices of one, or a warning.

The host of ``c11_vfs8.xml`` goes the whole way: libvirt's test driver, agent,
conductor, database, REST API, client.
"""

import fixtures
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.cases import files
from pci_passthrough.tests.functional.cmd import running

_BOTH = 'vendor_id=10de,product_id=20b5'
_WHOLE = f'{_BOTH},dev_type=type-PF'
_WARNING = (
    'warning: The PCI flavor matches whole cards and virtual functions of '
    'the same cards (10de:20b5, on 1 host, for example compute-1)'
)


class WholeCardsTestCase(testtools.TestCase):
    """Warns where a PCI flavor means a card and its virtual functions."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.manage = self.useFixture(running.Manage())
        sqlite.create(self.manage.database)

    def report(self, pci_information: str) -> None:
        """Report the host, of which one of two cards is sliced."""
        path = self.manage.folder / 'agent.conf'
        path.write_text(
            '[DEFAULT]\n'
            'transport_url = fake:/\n'
            'host = compute-1\n'
            f'[database]\nconnection = {self.manage.url}\n'
            '[agent]\n'
            f'connection_uri = {files.uri("c11_vfs8")}\n'
            f'pci_information = {pci_information}\n'
        )
        conf = conf_module.load([f'--config-file={path}'], 'test')
        service = conductor.ConductorService(conf)
        service.start()
        self.addCleanup(service.stop)
        agent.AgentService(conf).report_once()

    def flavor(self, *words: str) -> running.Outcome:
        outcome = self.manage.run('flavor', *words)
        self.assertEqual(0, outcome.status, outcome.err)
        return outcome

    def test_create_set_and_explain(self) -> None:
        self.report('{"vendor_id": "10de"}')
        created = self.flavor('create', 'gpu', '--match', _BOTH)
        self.assertIn(_WARNING, created.err)
        self.assertIn('Add dev_type to each alternative', created.err)
        self.assertIn(_WARNING, self.flavor('explain', 'gpu').err)
        changed = self.flavor('set', 'gpu', '--match', _WHOLE)
        self.assertEqual('', changed.err)
        self.assertNotIn('warning', self.flavor('explain', 'gpu').err)
        changed = self.flavor('set', 'gpu', '--match', 'class=display')
        self.assertIn(_WARNING, changed.err)

    def test_dry_run(self) -> None:
        self.report('{"vendor_id": "10de"}')
        words = ('create', 'gpu', '--dry-run', '--format=json', '--match')
        (text,) = self.flavor(*words, _BOTH).data['warnings']
        self.assertEqual(_WARNING.removeprefix('warning: '), text[:120])
        self.assertNotIn('warnings', self.flavor(*words, _WHOLE).data)
        self.flavor('create', 'gpu', '--match', _BOTH)
        effect = self.flavor('delete', 'gpu', '--dry-run', '--format=json')
        self.assertNotIn('warnings', effect.data[0])

    def test_host_offers_whole_cards_only(self) -> None:
        """The match expression alone is no reason for a warning."""
        self.report('{"vendor_id": "10de", "dev_type": "type-PF"}')
        created = self.flavor('create', 'gpu', '--match', _BOTH)
        self.assertEqual('', created.err)

    def test_cards_are_sliced_or_whole(self) -> None:
        """One PCI flavor may mean whole cards and slices of other cards."""
        self.report(
            '{"match": {"address": ["0000:81:00.*", "0000:41:00.[4-7]"]}}'
        )
        created = self.flavor('create', 'gpu', '--match', _BOTH)
        self.assertEqual('', created.err)
