# SPDX-License-Identifier: Apache-2.0
"""The parts of a cloud that are there before this project is installed."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Final
import urllib.request

import fixtures

from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import schemas
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.functional import servers

_CLONE_NEWNET: Final = 0x40000000

#: The ports that services have by default.
_PORTS: Final = {
    'keystone': 5000, 'placement': 8778, 'glance': 9292, 'neutron': 9696,
    'nova': 8774,
}  # fmt: skip


class OwnNetwork(fixtures.Fixture):
    """An empty network for this thread and for all that it starts.

    All ports of its loopback interface are free.
    """

    def _setUp(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        before = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        self.addCleanup(os.close, before)
        self._check(self._libc.unshare(_CLONE_NEWNET))
        self.addCleanup(
            lambda: self._check(self._libc.setns(before, _CLONE_NEWNET))
        )
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)

    @staticmethod
    def _check(status: int) -> None:
        if status:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class Database(schemas.CloudDatabase):
    """MariaDB at its usual port."""

    administrator = 'root_of_database'

    def _choose_port(self) -> int:
        return 3306


class Broker(servers.RabbitMQ):
    """RabbitMQ at its usual port."""

    administrator = 'guest'

    def _choose_port(self) -> int:
        return 5672

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which rabbitmqctl finds the broker."""
        return self._environment()


class ExistingCloud(fixtures.Fixture):
    """MariaDB, RabbitMQ, Keystone, and the configuration of Nova.

    :ivar site: the addresses and credentials.
    """

    site: settings.Site

    def _setUp(self) -> None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix='pci-install-'))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.database = self.useFixture(Database())
        self.broker = self.useFixture(Broker())
        # Quicker than MariaDB, and Keystone is not the point here.
        urls = {'keystone': f'sqlite:///{folder}/keystone.sqlite'}
        self.site = settings.Site(
            folder, 'SECRET', self.broker.url, _PORTS, urls
        )
        etc = folder / 'etc'
        settings.write(
            etc / 'keystone/keystone.conf', settings.keystone(self.site)
        )
        settings.write(
            etc / 'keystone.ini',
            settings.uwsgi(
                self.site, 'keystone', 'keystone.wsgi.api:application'
            ),
        )
        settings.write(etc / 'nova/nova.conf', self._nova())
        schemas.Schemas(self.site).keystone()
        self._start_keystone()

    def _nova(self) -> settings.Sections:
        """Return ``nova.conf`` with places that are in every root."""
        sections = settings.nova(self.site)
        return {
            **sections,
            'DEFAULT': {**sections['DEFAULT'], 'state_path': '/var/lib/nova'},
            'filter_scheduler': settings.FILTERS,
        }

    @property
    def nova_files(self) -> tuple[pathlib.Path, pathlib.Path]:
        """Nova's ``nova.conf`` and ``api-paste.ini``."""
        return (
            self.site.folder / 'etc/nova/nova.conf',
            pathlib.Path(sys.prefix) / 'etc/nova/api-paste.ini',
        )

    @property
    def administrator(self) -> dict[str, str]:
        """The administrator's environment variables."""
        return {
            'OS_AUTH_URL': self.site.url('keystone'),
            'OS_USERNAME': 'admin',
            'OS_PASSWORD': self.site.password,
            'OS_PROJECT_NAME': 'admin',
            'OS_USER_DOMAIN_NAME': 'Default',
            'OS_PROJECT_DOMAIN_NAME': 'Default',
            'OS_REGION_NAME': settings.REGION,
            'OS_IDENTITY_API_VERSION': '3',
        }

    def _start_keystone(self) -> None:
        folder = self.site.folder
        keystone = self.useFixture(
            processes.Daemon(
                'keystone',
                [processes.BIN / 'uwsgi', f'--ini={folder}/etc/keystone.ini'],
                folder,
                {'OS_KEYSTONE_CONFIG_DIR': str(folder / 'etc/keystone')},
            )
        )
        keystone.wait_until(
            lambda: is_answering(self.site.url('keystone')), 'an answer'
        )
        # As the installation guides of all services do.
        subprocess.run(
            [processes.BIN / 'openstack', 'project', 'create', 'service'],
            env=processes.environment(**self.administrator),
            stdout=subprocess.DEVNULL,
            check=True,
        )


def is_answering(url: str) -> bool:
    """Return whether a web server answers."""
    try:
        with urllib.request.urlopen(url, timeout=10):  # noqa: S310
            return True
    except OSError:
        return False
