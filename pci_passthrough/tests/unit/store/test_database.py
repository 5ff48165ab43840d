# SPDX-License-Identifier: Apache-2.0
"""The file of the embedded database."""

import os
import pathlib

import fixtures
import testtools

from pci_passthrough import store


class EmbeddedTest(testtools.TestCase):
    def test_nobody_else_can_read_it(self) -> None:
        """Neither the file nor those that SQLite makes beside it."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        db = store.Writer(f'sqlite:///{folder}/pci.sqlite')
        self.addCleanup(db.close)
        with db.write() as connection:
            connection.exec_driver_sql('CREATE TABLE t (i INTEGER)')
            files = {
                f.name: f.stat().st_mode & 0o777 for f in folder.iterdir()
            }
        self.assertEqual({0o600}, set(files.values()))
        self.assertIn('pci.sqlite', files)

    def test_existing_file_stays_as_it_is(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        path = folder / 'pci.sqlite'
        path.touch()
        path.chmod(0o640)
        store.Writer(f'sqlite:///{path}').close()
        self.assertEqual(0o640, path.stat().st_mode & 0o777)
