# SPDX-License-Identifier: Apache-2.0
"""Horizon in uWSGI, with the plugin as an operator installs it."""

import http.client
import pathlib
import sys
from typing import Final

import fixtures

from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import settings as cloud_settings
from pci_passthrough.tests.functional import servers

_PLUGIN: Final = pathlib.Path(__file__).parents[1]

# Horizon reads local_settings from a package ``local`` on the path. The files
# of the plugin are used from where they are, as if they had been copied.
_SETTINGS: Final = """
import pathlib
import openstack_dashboard.local.enabled as local_enabled
from openstack_dashboard.defaults import DEFAULT_POLICY_FILES
from openstack_dashboard.defaults import POLICY_FILES

DEBUG = False
ALLOWED_HOSTS = ['*']
SECRET_KEY = 'for these tests only'
SESSION_ENGINE = 'django.contrib.sessions.backends.file'
SESSION_FILE_PATH = {folder!r}
CACHES = {{
    'default': {{'BACKEND': 'django.core.cache.backends.locmem.LocMemCache'}}
}}
STATIC_ROOT = {static!r}
COMPRESS_OFFLINE = True
OPENSTACK_KEYSTONE_URL = {keystone!r}
TIME_ZONE = 'UTC'
LOGGING = {{
    'version': 1,
    'disable_existing_loggers': False,
    'handlers': {{'console': {{'class': 'logging.StreamHandler'}}}},
    'root': {{'handlers': ['console'], 'level': 'WARNING'}},
}}

local_enabled.__path__.append({plugin!r} + '/enabled')
for _file in sorted(pathlib.Path({plugin!r}, 'local_settings.d').glob('*.py')):
    exec(_file.read_text())
"""


class Horizon(fixtures.Fixture):
    """Horizon on a free port.

    :ivar url: of its root, without a slash at the end.
    """

    def __init__(self, site: cloud_settings.Site) -> None:
        super().__init__()
        self._site = site

    def _setUp(self) -> None:
        self._folder = self._site.folder / 'horizon'
        self._write_settings()
        for command in (
            ('collectstatic', '--noinput', '--verbosity=0'),
            ('compress', '--force'),
        ):
            processes.run(
                [sys.executable, '-m', 'django', *command],
                self._folder / 'django.log',
                **self._variables(),
            )
        self._start()

    def _variables(self) -> dict[str, str]:
        return {
            'DJANGO_SETTINGS_MODULE': 'openstack_dashboard.settings',
            'PYTHONPATH': f'{self._folder}:{_PLUGIN.parent}:'
            f'{_PLUGIN.parents[1]}',
        }

    def _write_settings(self) -> None:
        sessions = self._folder / 'sessions'
        for folder in (self._folder / 'local', sessions):
            folder.mkdir(parents=True)
        (self._folder / 'local/__init__.py').touch()
        (self._folder / 'local/local_settings.py').write_text(
            _SETTINGS.format(
                folder=str(sessions),
                static=str(self._folder / 'static'),
                keystone=self._site.url('keystone'),
                plugin=str(_PLUGIN),
            )
        )

    def _start(self) -> None:
        port = self._site.ports['horizon']
        self.url = f'http://{servers.LOOPBACK}:{port}'
        options = cloud_settings.uwsgi(
            self._site, 'horizon', 'openstack_dashboard.wsgi:application'
        )['uwsgi']
        static = f'/static={self._folder}/static'
        path = cloud_settings.write(
            self._folder / 'uwsgi.ini',
            {'uwsgi': {**options, 'static-map': static}},
        )
        daemon = processes.Daemon(
            'horizon',
            [processes.BIN / 'uwsgi', f'--ini={path}'],
            self._site.folder,
            self._variables(),
        )
        self.useFixture(daemon)
        self.log = daemon

        def answers() -> bool:
            connection = http.client.HTTPConnection(
                servers.LOOPBACK, port, timeout=60
            )
            try:
                connection.request('GET', '/auth/login/')
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        daemon.wait_until(answers, 'the page for logging in')
