# SPDX-License-Identifier: Apache-2.0
"""``leave``, ``return`` and ``guard`` where they cannot work.

``tests.nova.test_leaving`` runs them inside Nova.
"""

import importlib.util

import testtools

from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.cmd import running


class WithoutNovaTestCase(testtools.TestCase):
    """The environment of this project's own services has no Nova."""

    def setUp(self) -> None:
        super().setUp()
        if importlib.util.find_spec('nova') is not None:
            self.skipTest('Nova is installed')
        self.manage = self.useFixture(running.Manage())
        sqlite.create(self.manage.database)

    def test_said(self) -> None:
        for command in ('leave', 'return', 'guard'):
            outcome = self.manage.run(command, '--apply')
            self.assertEqual((1, ''), (outcome.status, outcome.out))
            self.assertIn('Nova is not installed', outcome.err)

    def test_help(self) -> None:
        for command in ('leave', 'return', 'guard'):
            outcome = self.manage.run(command, '--help')
            self.assertEqual(0, outcome.status)
            self.assertIn('--nova-conf-dir', outcome.out)
