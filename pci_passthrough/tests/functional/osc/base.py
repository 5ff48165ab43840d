# SPDX-License-Identifier: Apache-2.0
"""Base classes: the service with some devices, and users."""

from collections.abc import Sequence
import datetime
import threading
from typing import Any
from typing import TYPE_CHECKING

import fixtures
import testtools
from werkzeug import serving

from pci_passthrough import objects
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import proxy
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.osc import shells
from pci_passthrough.tests.functional.store import base as store_base

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PROJECT = '6d0c2b3e5f704a1c9be84d7a05c1f362'
OTHER_PROJECT = 'b81fa9d04c664f0e8c1f3a7d52e06b94'


class ShellTestCase(testtools.TestCase):
    """A test of ``openstack`` against the service at a URL."""

    url = ''

    def setUp(self) -> None:
        super().setUp()
        self.shell = self.useFixture(shells.ShellFixture())

    def run_as(self, token: str, *words: str) -> shells.Outcome:
        """Run a command; its name is the first word, with blanks."""
        return self.shell.openstack(
            '--os-auth-type', 'admin_token', '--os-endpoint', self.url,
            '--os-token', token, *words[0].split(), *words[1:],
        )  # fmt: skip

    def admin(self, *words: str) -> shells.Outcome:
        """Run a command as an administrator."""
        return self.run_as(fixture.ADMIN, *words)

    def member(self, *words: str) -> shells.Outcome:
        """Run a command as a user of a project."""
        return self.run_as(
            fixture.ApiFixture.token('user', PROJECT, 'member', 'reader'),
            *words,
        )

    def succeed(self, outcome: shells.Outcome) -> shells.Outcome:
        self.assertEqual((0, ''), (outcome.status, outcome.stderr))
        return outcome

    def json_of(self, outcome: shells.Outcome) -> Any:
        return self.succeed(outcome).json

    def assert_error(self, outcome: shells.Outcome, *texts: str) -> None:
        """Check that a command fails with one line of error."""
        self.assertEqual((1, ''), (outcome.status, outcome.stdout))
        for text in texts:
            self.assertIn(text, outcome.error)


class OscTestCase(ShellTestCase):
    """A test with a service, whose database is empty at first."""

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(fixture.ApiFixture())
        self.url = self.api.url

    def add_gpus(self) -> None:
        """Add two hosts with two GPUs each."""
        for host in ('cmp1', 'cmp2'):
            self.api.add_host(
                host, [store_base.gpu(0x65), store_base.gpu(0x66)]
            )

    def add_held_gpus(self) -> list[objects.PciDevice]:
        """Add four GPUs, and claim one of them."""
        self.add_gpus()
        self.api.add_flavor('bigGPU')
        return self.api.claim('cmp1', 'bigGPU')


def insert_flavors(db: database.Writer, names: Sequence[str]) -> None:
    """Insert many PCI flavors at once."""
    common = {
        'match': [store_base.FLAVORS['gpu']],
        'is_public': True,
        'state': 'active',
        'generation': 1,
        'created_at': datetime.datetime(2026, 1, 1),
    }
    with db.write() as connection:
        connection.execute(
            models.pci_flavors.insert(),
            [
                {'uuid': store_base.new_id(), 'name': name, **common}
                for name in names
            ],
        )


def insert_hosts(db: database.Writer, names: Sequence[str]) -> None:
    """Insert many hosts without devices at once."""
    now = database.now()
    common = {
        'revision': 1,
        'generation': 1,
        'sequence': 1,
        'digest': '',
        'agent_version': '1',
        'last_report_at': now,
        'created_at': now,
    }
    with db.write() as connection:
        connection.execute(
            models.compute_nodes.insert(),
            [{'host': name, **common} for name in names],
        )


class AnotherEditor(fixtures.Fixture):
    """Changes each PCI flavor between the read and the change of a client."""

    def __init__(self, db: database.Writer) -> None:
        super().__init__()
        self._db = db

    def _setUp(self) -> None:
        read = proxy.Proxy.get_pci_flavor

        def change(reader: proxy.Proxy, name: str) -> pci_flavor.PciFlavor:
            flavor = read(reader, name)
            editing.update(self._db, name, {'description': 'theirs'})
            return flavor

        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.sdk.proxy.Proxy.get_pci_flavor', change
            )
        )


class Served(fixtures.Fixture):
    """A WSGI application on a port of the loopback interface.

    :ivar url: where it answers, without a slash at the end.
    """

    def __init__(self, application: 'WSGIApplication') -> None:
        super().__init__()
        self._application = application

    def _setUp(self) -> None:
        server = serving.make_server(
            '127.0.0.1', 0, self._application, request_handler=_Quiet
        )
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.url = f'http://127.0.0.1:{server.server_port}'


class _Quiet(serving.WSGIRequestHandler):
    """A request handler that does not log requests."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Print nothing."""
