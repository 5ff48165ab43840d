# SPDX-License-Identifier: Apache-2.0
"""Tests that nothing is left behind if a service does not start."""

import pathlib

import fixtures
import psutil
import testtools

from pci_passthrough.tests.e2e import control_plane
from pci_passthrough.tests.e2e import processes


class ControlPlaneTestCase(testtools.TestCase):
    """All services end if one of them does not start."""

    def test_service_that_ends(self) -> None:
        apis = control_plane.APIS | {
            'keystone': ('identity', 'keystone.wsgi.nothing:application')
        }
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.tests.e2e.control_plane.APIS', apis
            )
        )
        plane = control_plane.ControlPlane()
        errors = self.assertRaises(fixtures.MultipleExceptions, plane.setUp)
        error = str(processes.first_cause(errors))
        self.assertStartsWith('keystone-api ended with ', error)
        self.assertIn('the end of keystone-api.log', error)
        self.assertIn("No module named 'keystone.wsgi.nothing'", error)
        for folder in (
            plane.site.folder,
            plane.database.directory,
            plane.broker.directory,
        ):
            self.assertFalse(folder.exists())
            self.assertEqual([], _working_with(folder))

    def assertStartsWith(self, start: str, text: str) -> None:
        """Check the beginning of a text."""
        self.assertEqual(start, text[: len(start)])


class SetUpTogetherTestCase(testtools.TestCase):
    """Fixtures that are set up at the same time."""

    def test_one_of_two_fails(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        sleeper = processes.Daemon('sleeper', ['sleep', '1000'], folder)
        nothing = processes.Daemon('nothing', [folder / 'nothing'], folder)
        owner = fixtures.Fixture()
        owner.setUp()
        self.assertRaises(
            FileNotFoundError,
            processes.set_up_together,
            owner,
            sleeper,
            nothing,
        )
        assert sleeper.pid is not None
        process = psutil.Process(sleeper.pid)
        owner.cleanUp()
        self.assertFalse(process.is_running())


def _working_with(folder: pathlib.Path) -> list[str]:
    """Return the commands of processes that contain a folder."""
    commands = []
    for process in psutil.process_iter(['cmdline', 'status']):
        command = ' '.join(process.info['cmdline'] or ())
        zombie = process.info['status'] == psutil.STATUS_ZOMBIE
        if str(folder) in command and not zombie:
            commands.append(command)
    return commands
