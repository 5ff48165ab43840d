# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-manage audit``, with a small Nova that answers as Nova."""

from pci_passthrough.tests.functional import nova_stand_in
from pci_passthrough.tests.functional.cmd import running
from pci_passthrough.tests.functional.cmd import test_manage

_KNOWN = nova_stand_in.KNOWN
_GONE = nova_stand_in.GONE


class AuditTest(test_manage.ManageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova_stand_in.Nova())
        self.manage.configure(self.manage.url, self.nova.config)

    def audit(self, status: int, *words: str) -> list[tuple[str, ...]]:
        """Audit; return host, instance, difference and result."""
        outcome = self.manage.run('audit', '-f', 'json', *words)
        self.assertEqual(status, outcome.status, outcome.err)
        return [
            tuple(
                row[name]
                for name in ('Host', 'Instance', 'Difference', 'Result')
            )
            for row in outcome.data
        ]

    def test_story(self) -> None:
        self.ok('claim', _KNOWN, '10g', '--host', 'one', '--allocate')
        self.assertEqual([], self.audit(0))
        self.ok('claim', _GONE, '10g', '--host', 'two', '--allocate')
        self.assertEqual([], self.audit(0, '--host', 'one'))
        [(*difference, result)] = self.audit(3)
        self.assertEqual(['two', _GONE, 'unknown instance'], difference)
        self.assertIn('--fix', result)
        self.assertEqual(
            [('two', _GONE, 'unknown instance', 'freed')],
            self.audit(0, '--fix'),
        )
        self.assertEqual([], self.audit(0))

    def test_what_is_only_reported(self) -> None:
        self.ok('claim', _KNOWN, '10g', '--host', 'two', '--allocate')
        before = self.ok('device', 'list', '-f', 'json')
        found = self.audit(3, '--fix')
        self.assertEqual(
            [
                ('one', _KNOWN, 'too few devices'),
                ('two', _KNOWN, 'other host'),
            ],
            [row[:3] for row in found],
        )
        self.assertEqual(before, self.ok('device', 'list', '-f', 'json'))

    def test_nova_does_not_answer(self) -> None:
        self.ok('claim', _GONE, '10g', '--host', 'two')
        self.nova.answers.is_broken = True
        outcome = self.manage.run('audit', '--fix')
        self.assertEqual(1, outcome.status)
        self.assertIn('Nova does not tell its servers', outcome.err)
        self.nova.answers.is_broken = False
        self.assertIn(
            ('two', _GONE, 'unknown instance'),
            [row[:3] for row in self.audit(3)],
        )

    def test_nova_of_another_region(self) -> None:
        """It has servers, and none of those that hold devices."""
        self.ok('claim', _GONE, '10g', '--host', 'two', '--allocate')
        before = self.ok('device', 'list', '-f', 'json')
        outcome = self.manage.run('audit', '--fix')
        self.assertEqual(1, outcome.status)
        self.assertIn('the Nova of another region', outcome.err)
        self.assertEqual(before, self.ok('device', 'list', '-f', 'json'))

    def test_no_credentials(self) -> None:
        self.manage.configure(self.manage.url)
        outcome: running.Outcome = self.manage.run('audit')
        self.assertEqual(1, outcome.status)
        self.assertIn('[nova] auth_type is not set', outcome.err)
