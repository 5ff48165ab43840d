# SPDX-License-Identifier: Apache-2.0
"""Errors of programs without a database, and what these programs load."""

import subprocess
import sys

import testtools

from pci_passthrough import exception
from pci_passthrough.cmd import errors


class DescribeTestCase(testtools.TestCase):
    def test_expected(self) -> None:
        error = exception.InvalidRequest('10g:', 'no count')
        self.assertEqual(str(error), errors.describe(error))

    def test_defect(self) -> None:
        self.assertEqual("KeyError: 'x'", errors.describe(KeyError('x')))


class AgentTestCase(testtools.TestCase):
    def test_loads_nothing_of_the_database(self) -> None:
        """Neither the store, nor the libraries of SQL and of the commands."""
        loaded = subprocess.run(
            [
                sys.executable, '-c',
                'import sys, pci_passthrough.cmd.agent; print(*sys.modules)',
            ],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.split()  # fmt: skip
        self.assertIn('pci_passthrough.services.agent', loaded)
        for name in (
            'alembic', 'cliff', 'pci_passthrough.store',
            'sqlalchemy',
        ):  # fmt: skip
            self.assertNotIn(name, loaded)
