# SPDX-License-Identifier: Apache-2.0
"""The fixtures that the YAML files name, and the application they use."""

from collections.abc import Iterable
import contextlib
import json
import pathlib
import tempfile
from typing import TYPE_CHECKING

import fixtures
from gabbi import fixture as gabbi_fixture
from werkzeug.middleware import dispatcher

from pci_passthrough.tests.functional.api import world

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

#: The application of the file that is being read.
_in_use: list['WSGIApplication'] = []

#: The values that the files use as ``$ENVIRON['NAME']``.
_ENVIRON = {
    'ADMIN': world.ADMIN,
    'BLUE_MEMBER': world.BLUE_MEMBER,
    'BLUE_READER': world.BLUE_READER,
    'RED_READER': world.RED_READER,
    'NOBODY': world.BLUE_NOBODY,
    'BIG_BODY': ' ' * (256 * 1024),
    'GPU_1': world.device_uuid(world.ALFA, '0000:01:00.0'),
    'GPU_2': world.device_uuid(world.ALFA, '0000:02:00.0'),
    'GPU_3': world.device_uuid(world.ALFA, '0000:03:00.0'),
    'GPU_4': world.device_uuid(world.ALFA, '0000:04:00.0'),
}


def application(
    environ: 'WSGIEnvironment', start_response: 'StartResponse'
) -> Iterable[bytes]:
    """Pass a request to the service of the file's fixture."""
    return _in_use[-1](environ, start_response)


class World(gabbi_fixture.GabbiFixture):  # type: ignore[misc]
    """A service with ``world``'s cloud.

    :cvar prefix: the path that it is below.
    :cvar rules: of the operator's policy file.
    """

    prefix = ''
    rules: dict[str, str] = {}

    def start_fixture(self) -> None:
        """Start a service of the file's own."""
        self._stack = contextlib.ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        file = pathlib.Path(folder) / 'policy.yaml'
        file.write_text(json.dumps(self.rules))
        for name, value in _ENVIRON.items():
            self._stack.enter_context(
                fixtures.EnvironmentVariable(name, value)
            )
        service = self._stack.enter_context(
            world.WorldFixture(
                served=False,
                settings=f'[oslo_policy]\npolicy_file = {file}\n',
            )
        )
        app: WSGIApplication = service.application
        if self.prefix:
            app = dispatcher.DispatcherMiddleware(app, {self.prefix: app})
        _in_use.append(app)
        self._stack.callback(_in_use.remove, app)

    def stop_fixture(self) -> None:
        """Stop the service."""
        self._stack.close()


class Mounted(World):
    """The same service below a path."""

    prefix = '/pci'


class ProjectsOwn(World):
    """A service whose policies let projects have PCI flavors of their own."""

    rules = {
        f'pci_passthrough:pci_flavors:{verb}': 'rule:project_member_or_admin'
        for verb in ('create', 'update', 'delete')
    }
