# SPDX-License-Identifier: Apache-2.0
"""The control plane: database, broker, APIs, schedulers, conductors."""

from collections.abc import Mapping
import concurrent.futures
import http.client
import pathlib
import secrets
import shutil
import sys
import tempfile
from typing import Any
from typing import Final

import fixtures
import openstack

from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import schemas
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.functional import servers

#: Service to its type in the catalog, WSGI module and configuration folder.
APIS: Final = {
    'keystone': ('identity', 'keystone.wsgi.api:application'),
    'placement': ('placement', 'placement.wsgi.api:application'),
    'glance': ('image', 'glance.wsgi.api:application'),
    'neutron': ('network', 'neutron.wsgi.api:application'),
    'nova': ('compute', 'nova.wsgi.osapi_compute:application'),
    'pci-passthrough': (
        'pci-passthrough',
        'pci_passthrough.api.wsgi:application',
    ),
}

#: The role of a service's user in the project of the services. This
#: project's API needs fewer rights than the others.
_ROLES: Final = dict.fromkeys(APIS, ('admin', 'service')) | {
    'pci-passthrough': ('service',)
}

SCHEDULERS: Final = ('scheduler-1', 'scheduler-2')

#: The configuration files that load the Nova plugin, as installed.
DOOR: Final = pathlib.Path(__file__).parents[3] / 'etc/nova'

_PASTE: Final = 'api-paste-pci-passthrough.ini'

#: This project's example files.
EXAMPLES: Final = DOOR.parent / 'pci_passthrough/examples'


class ControlPlane(fixtures.Fixture):
    """Database, broker, APIs, schedulers and conductors.

    :ivar site: the addresses and credentials that compute hosts need.
    :ivar daemons: the services by name.
    """

    site: settings.Site

    def _setUp(self) -> None:
        self.daemons: dict[str, processes.Daemon] = {}
        for name in ('no_proxy', 'NO_PROXY'):
            variable = fixtures.EnvironmentVariable(name, servers.LOOPBACK)
            self.useFixture(variable)
        folder = pathlib.Path(tempfile.mkdtemp(prefix='pci-e2e-'))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.database = schemas.CloudDatabase()
        self.broker = servers.RabbitMQ()
        processes.set_up_together(self, self.database, self.broker)
        self.site = settings.Site(
            folder,
            secrets.token_hex(8),
            self.broker.url,
            {name: self.useFixture(servers.Port()).number for name in APIS},
            self.database.create_all(),
        )
        self._write_files()
        self._fill_and_start()

    @property
    def etc(self) -> pathlib.Path:
        """The folder of the configuration files."""
        return self.site.folder / 'etc'

    @property
    def nova_files(self) -> list[pathlib.Path]:
        """The files that all Nova processes read beside their own file."""
        folder = self.etc / 'nova'
        return [folder / 'nova-pci-passthrough.conf', folder / 'pci.conf']

    def write_nova_files(self, has_plugin: bool = True, pci: str = '') -> None:
        """Write the files that Nova's processes read when they start.

        :param has_plugin: False writes native files in their place.
        :param pci: the section ``[pci]``.
        """
        folder = self.etc / 'nova'
        for name, native in (
            ('nova-pci-passthrough.conf', ''),
            (_PASTE, (folder / 'api-paste.ini').read_text()),
        ):
            text = (DOOR / name).read_text() if has_plugin else native
            (folder / name).write_text(text)
        (folder / 'pci.conf').write_text(pci)

    def restart_nova(self) -> None:
        """Restart Nova's API, conductor and schedulers."""
        for name, daemon in self.daemons.items():
            if name.startswith('nova-'):
                daemon.restart()
        self._wait_for_api('nova')

    def connect(self, credentials: Mapping[str, str] | None = None) -> Any:
        """Return a connection of the SDK.

        :param credentials: None means those of the administrator.
        """
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            api_timeout=processes.PATIENCE,
            region_name=settings.REGION,
            auth=dict(credentials or self.credentials()),
        )

    def credentials(self) -> dict[str, str]:
        """Return the administrator's credentials."""
        return {
            'auth_url': self.site.url('keystone'),
            'username': 'admin',
            'password': self.site.password,
            'project_name': 'admin',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
        }

    def _write_files(self) -> None:
        site, etc = self.site, self.etc
        for name in ('glance', 'neutron', 'nova/instances'):
            (site.folder / name).mkdir(parents=True)
        for name, (_, module) in APIS.items():
            # _adapt_examples writes the file of this project's API.
            settings.write(
                etc / f'uwsgi/{name}.ini', settings.uwsgi(site, name, module)
            )
        settings.write(etc / 'keystone/keystone.conf', settings.keystone(site))
        settings.write(
            etc / 'placement/placement.conf', settings.placement(site)
        )
        settings.write(etc / 'glance/glance-api.conf', settings.glance(site))
        settings.write(etc / 'neutron/neutron.conf', settings.neutron(site))
        for host, name in (
            ('controller', 'nova.conf'),
            *((host, f'{host}.conf') for host in SCHEDULERS),
        ):
            settings.write(
                etc / 'nova' / name, settings.nova_controller(site, host)
            )
        paste = pathlib.Path(sys.prefix) / 'etc/nova/api-paste.ini'
        shutil.copy(paste, etc / 'nova')
        self.write_nova_files()
        settings.write(
            etc / 'pci_passthrough/conductor.conf',
            settings.pci_passthrough_conductor(site),
        )
        self._adapt_examples()

    def _adapt_examples(self) -> None:
        """Configure this project's API from its example files."""
        config = self.etc / 'pci_passthrough/api.conf'
        for example, path, changes in (
            ('api.conf', config, settings.pci_passthrough_api(self.site)),
            (
                'api-uwsgi.ini',
                self.etc / 'uwsgi/pci-passthrough.ini',
                settings.pci_passthrough_uwsgi(self.site, config),
            ),
        ):
            settings.adapt(EXAMPLES / example, path, changes)

    def _fill_and_start(self) -> None:
        # Two threads for two cores; Nova's schemas are half of the work.
        fill = schemas.Schemas(self.site)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            lanes = [pool.submit(fill.nova), pool.submit(fill.others)]
            fill.keystone()
            self._start_api('keystone')
            self._fill_catalog()
            fill.neutron()
            for lane in lanes:
                lane.result()
        for name in APIS:
            if name != 'keystone':
                self._start_api(name, wait=False)
        neutron = f'--config-file={self.etc}/neutron/neutron.conf'
        self._start('neutron-rpc', 'neutron-rpc-server', neutron)
        self._start_nova('nova-conductor', 'nova-conductor', 'nova.conf')
        for host in SCHEDULERS:
            self._start_nova(f'nova-{host}', 'nova-scheduler', f'{host}.conf')
        config = f'--config-file={self.etc}/pci_passthrough/conductor.conf'
        ours = self._start(
            'pci-passthrough-conductor', 'pci-passthrough-conductor', config
        )
        for name in APIS:
            self._wait_for_api(name)
        ours.wait_for_log('is ready')

    def start_keystone(self) -> None:
        """Start Keystone again, and wait until it answers."""
        self.daemons['keystone-api'].start()
        self._wait_for_api('keystone')

    def _start(self, name: str, program: str, *words: str) -> processes.Daemon:
        daemon = processes.Daemon(
            name, [processes.BIN / program, *words], self.site.folder
        )
        self.daemons[name] = self.useFixture(daemon)
        return daemon

    def _start_nova(self, name: str, program: str, file: str) -> None:
        files = [self.etc / 'nova' / file, *self.nova_files]
        self._start(name, program, *(f'--config-file={f}' for f in files))

    def _start_api(self, name: str, wait: bool = True) -> None:
        files = [_PASTE, 'nova.conf']
        files += [str(file) for file in self.nova_files]
        variables = {
            f'OS_{name.upper()}_CONFIG_DIR': str(self.etc / name),
            'OS_NEUTRON_CONFIG_FILES': 'neutron.conf',
            'OS_NOVA_CONFIG_FILES': ';'.join(files),
        }
        daemon = processes.Daemon(
            f'{name}-api',
            [processes.BIN / 'uwsgi', f'--ini={self.etc}/uwsgi/{name}.ini'],
            self.site.folder,
            variables,
        )
        self.daemons[daemon.name] = self.useFixture(daemon)
        if wait:
            self._wait_for_api(name)

    def _wait_for_api(self, name: str) -> None:
        port = self.site.ports[name]

        def answers() -> bool:
            connection = http.client.HTTPConnection(
                servers.LOOPBACK, port, timeout=10
            )
            try:
                connection.request('GET', '/')
                return connection.getresponse().status < 500
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        self.daemons[f'{name}-api'].wait_until(
            answers, f'an answer on port {port}'
        )

    def _fill_catalog(self) -> None:
        with self.connect() as cloud:
            identity = cloud.identity
            project = identity.create_project(
                name='service', domain_id='default'
            )
            roles = {role.name: role for role in identity.roles()}
            for name, (kind, _) in APIS.items():
                if name == 'keystone':
                    continue
                user = identity.create_user(
                    name=name,
                    password=self.site.password,
                    domain_id='default',
                )
                for role in _ROLES[name]:
                    identity.assign_project_role_to_user(
                        project, user, roles[role]
                    )
                if name == 'pci-passthrough':
                    # To read the limits of projects.
                    identity.assign_system_role_to_user(
                        user, roles['reader'], 'all'
                    )
                service = identity.create_service(name=name, type=kind)
                for interface in ('public', 'internal'):
                    identity.create_endpoint(
                        service_id=service.id,
                        interface=interface,
                        url=self.site.url(name),
                        region_id=settings.REGION,
                    )
