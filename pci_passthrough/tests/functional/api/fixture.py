# SPDX-License-Identifier: Apache-2.0
"""The REST service, on a port of the loopback interface."""

from collections.abc import Iterable
import pathlib
import threading
from typing import Any

import fixtures
from werkzeug import serving

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.api import authentication
from pci_passthrough.api import deploy
from pci_passthrough.api.backends import Backends
from pci_passthrough.services import conductor
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.store import base as store_base

#: What tokens look like, see ``authentication.NoAuth``.
ADMIN = 'admin:ops:admin,member,reader'


class ApiFixture(fixtures.Fixture):
    """The application with an empty database and a conductor of its own.

    One at a time: all conductors of a process listen on one exchange.

    :param database_url: None means SQLite in a file.
    :param served: whether to listen on a port.
    :param settings: more sections and options of the configuration.
    :param authenticate: adds the middleware that authenticates the user.
    :ivar backends: the database and the conductor that handlers use.
    :ivar application: for WSGI.
    :ivar url: the address, without a slash at the end.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        served: bool = True,
        settings: str = '',
        authenticate: authentication.Authentication = authentication.NoAuth,
    ) -> None:
        super().__init__()
        self._database_url = database_url
        self._served = served
        self._settings = settings
        self._authenticate = authenticate

    def _setUp(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        url = self._database_url or sqlite.create(directory / 'db')
        file = directory / 'pci_passthrough.conf'
        file.write_text(
            '[DEFAULT]\nhost = controller\ntransport_url = fake:/\n'
            f'[database]\nconnection = {url}\n{self._settings}\n'
        )
        self.conf = conf_module.load(['--config-file', str(file)], 'test', [])
        self.db = store.Writer.from_conf(self.conf)
        self.addCleanup(self.db.close)
        if self._database_url is not None:
            schema.sync(self.db)
        service = conductor.ConductorService(self.conf)
        service.start()
        self.addCleanup(service.stop)
        self.backends = Backends.from_conf(self.conf)
        self.addCleanup(self.backends.close)
        self.application = deploy.load(
            self.conf, self.backends, self._authenticate
        )
        if self._served:
            self._serve()

    def _serve(self) -> None:
        server = serving.make_server(
            '127.0.0.1',
            0,
            self.application,
            threaded=True,
            request_handler=_Quiet,
        )
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.url = f'http://127.0.0.1:{server.server_port}'

    @staticmethod
    def token(user: str, project: str, *roles: str) -> str:
        """Return a token of a user."""
        return f'{user}:{project}:{",".join(roles)}'

    def add_host(
        self, host: str, devices: Iterable[objects.PciDevice]
    ) -> None:
        """Have a host report devices, and its resource tracker register."""
        reports.apply(self.db, store_base.full_report(host, devices))
        trackers.register(self.db, host, 'test')

    def add_flavor(
        self, name: str, project_id: str | None = None, **values: Any
    ) -> objects.PciFlavor:
        """Create a PCI flavor in the database, not through the service."""
        values.setdefault('match', [store_base.FLAVORS['gpu']])
        return editing.create(self.db, name, project_id, **values)

    def claim(
        self, host: str, name: str, count: int = 1, **arguments: Any
    ) -> list[objects.PciDevice]:
        """Claim devices for a new instance."""
        return claiming.claim(
            self.db,
            store_base.POLICY,
            claims.ClaimRequest(
                host,
                store_base.new_id(),
                [store_base.request(name, count=count)],
                'test',
                **arguments,
            ),
        )


class _Quiet(serving.WSGIRequestHandler):
    """Does not print each request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Print nothing."""
