# SPDX-License-Identifier: Apache-2.0
"""Keystone, the REST API and Horizon, each real; Neutron is not."""

import http.client
import pathlib
import secrets
import shutil
import tempfile
from typing import Final

import fixtures

from pci_passthrough.api import authentication
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import schemas
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.api import fixture as api_fixture
from pci_passthrough_dashboard.tests import accounts
from pci_passthrough_dashboard.tests import horizon
from pci_passthrough_dashboard.tests import neutron

# Hosts are up for the length of the tests, however busy the machine is.
_SETTINGS: Final = """
[conductor]
host_timeout = 3600
tracker_timeout = 3600
[keystone_authtoken]
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = pci-passthrough
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
"""


class Stack(fixtures.Fixture):
    """Keystone on SQLite, the API with its conductor, and Horizon.

    :ivar api: the service; tests put hosts and devices into its database.
    :ivar accounts: what Keystone has.
    :ivar neutron: a stand-in; it keeps the ports.
    :ivar url: of Horizon.
    """

    api: api_fixture.ApiFixture
    accounts: accounts.Accounts
    site: settings.Site
    horizon: horizon.Horizon
    neutron: neutron.Neutron
    url: str

    def _setUp(self) -> None:
        for name in ('no_proxy', 'NO_PROXY'):
            self.useFixture(
                fixtures.EnvironmentVariable(name, servers.LOOPBACK)
            )
        folder = pathlib.Path(tempfile.mkdtemp(prefix='pci-dashboard-'))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.site = settings.Site(
            folder,
            secrets.token_hex(8),
            transport_url='',
            ports={
                name: self.useFixture(servers.Port()).number
                for name in ('keystone', 'horizon')
            },
            databases={'keystone': f'sqlite:///{folder}/keystone.sqlite'},
        )
        web = horizon.Horizon(self.site)
        processes.set_up_together(self, _Services(self), web)
        self.horizon = web
        self.url = web.url


class _Services(fixtures.Fixture):
    """Keystone and the API, in this order, while Horizon gets ready."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._stack = stack

    def _setUp(self) -> None:
        site = self._stack.site
        self._start_keystone(site)
        self._stack.api = self.useFixture(
            api_fixture.ApiFixture(
                settings=_SETTINGS.format(
                    url=site.url('keystone'), password=site.password
                ),
                authenticate=authentication.keystone,
            )
        )
        self._stack.neutron = self.useFixture(neutron.Neutron())
        self._stack.accounts = accounts.create(
            site,
            {
                'pci-passthrough': self._stack.api.url,
                'network': f'{self._stack.neutron.url}/v2.0',
            },
        )

    def _start_keystone(self, site: settings.Site) -> None:
        etc = site.folder / 'etc'
        settings.write(etc / 'keystone/keystone.conf', settings.keystone(site))
        uwsgi = settings.write(
            etc / 'uwsgi/keystone.ini',
            settings.uwsgi(site, 'keystone', 'keystone.wsgi.api:application'),
        )
        schemas.Schemas(site).keystone()
        daemon = processes.Daemon(
            'keystone',
            [processes.BIN / 'uwsgi', f'--ini={uwsgi}'],
            site.folder,
            {'OS_KEYSTONE_CONFIG_DIR': str(etc / 'keystone')},
        )
        self.useFixture(daemon)

        def answers() -> bool:
            connection = http.client.HTTPConnection(
                servers.LOOPBACK, site.ports['keystone'], timeout=10
            )
            try:
                connection.request('GET', '/v3')
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        daemon.wait_until(answers, "Keystone's versions")
