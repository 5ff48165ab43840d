# SPDX-License-Identifier: Apache-2.0
"""What the YAML files name under ``fixtures``, and where requests go."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import fixtures
from gabbi import fixture as gabbi_fixture

from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.api import world

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

#: The services of the fixtures that are in use, the innermost last.
_in_use: list[fixture.ApiFixture] = []

#: What the files know as ``$ENVIRON['NAME']``.
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
    """Let the service of the file's fixture answer."""
    return _in_use[-1].application(environ, start_response)


class World(gabbi_fixture.GabbiFixture):  # type: ignore[misc]
    """A service with ``world``'s cloud."""

    #: for its configuration
    settings = ''

    def start_fixture(self) -> None:
        """Start a service of the file's own."""
        self._service = world.WorldFixture(
            served=False, settings=self.settings
        )
        self._environ = [
            fixtures.EnvironmentVariable(name, value)
            for name, value in _ENVIRON.items()
        ]
        for one in (*self._environ, self._service):
            one.setUp()
        _in_use.append(self._service)

    def stop_fixture(self) -> None:
        """Stop it."""
        _in_use.remove(self._service)
        for one in (self._service, *self._environ):
            one.cleanUp()
