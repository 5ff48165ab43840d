# SPDX-License-Identifier: Apache-2.0
"""Creates and fills the databases of the cloud."""

from collections.abc import Mapping
import os
from typing import Final

import sqlalchemy as sa

from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.functional import servers

NAMES: Final = (
    'keystone',
    'placement',
    'glance',
    'neutron',
    'nova_api',
    'nova_cell0',
    'nova_cell1',
    'pci_passthrough',
)


class CloudDatabase(servers.MariaDB):
    """A MariaDB server for a dozen services.

    It does not wait for the disk, because no test depends on the data after
    a crash of the machine. This saves two thirds of the time for the
    schemas.
    """

    def create_all(self) -> Mapping[str, str]:
        """Create the databases; return their URLs by name.

        ``pci_passthrough_reader`` is this project's database, for a user
        who may only read.
        """
        urls = {name: self.create_database() for name in NAMES}
        url = sa.make_url(urls['pci_passthrough'])
        reader = url.set(username='pci_reader')
        with self.connect() as connection:
            connection.execute(
                sa.text(
                    f'GRANT SELECT ON {url.database}.*'
                    f" TO '{reader.username}'@'{servers.LOOPBACK}'"
                    f" IDENTIFIED BY '{self.password}'"
                )
            )
        return urls | {
            'pci_passthrough_reader': reader.render_as_string(
                hide_password=False
            )
        }

    def _command(self) -> list[str]:
        # The last value of an option is used.
        return [
            *super()._command(),
            '--max-connections=500',
            '--innodb-buffer-pool-size=256M',
            '--innodb-flush-log-at-trx-commit=0',
            '--innodb-flush-method=nosync',
            '--innodb-doublewrite=0',
            '--innodb-stats-auto-recalc=OFF',
        ]

    def _create_statement(self, name: str) -> str:
        # As the services recommend; some keys would be too long for an
        # index with four bytes for each character.
        return f'CREATE DATABASE {name} CHARACTER SET utf8mb3'


class Schemas:
    """Fills the databases with the services' own programs."""

    def __init__(self, site: settings.Site) -> None:
        self._site = site
        self._etc = site.folder / 'etc'

    def _run(self, program: str, *words: str) -> None:
        processes.run(
            [processes.BIN / program, *words],
            self._site.folder / f'schema-{program}.log',
        )

    def keystone(self) -> None:
        """Create Keystone's schema, keys and administrator."""
        config = f'--config-dir={self._etc}/keystone'

        def manage(*words: str) -> None:
            self._run('keystone-manage', config, *words)

        for name in ('fernet-keys', 'credential-keys'):
            (self._etc / 'keystone' / name).mkdir(mode=0o700)
        manage('db_sync')
        # The keys must be readable for the user who runs the tests.
        owner = (
            f'--keystone-user={os.geteuid()}',
            f'--keystone-group={os.getegid()}',
        )
        manage('fernet_setup', *owner)
        manage('credential_setup', *owner)
        manage(
            'bootstrap',
            f'--bootstrap-password={self._site.password}',
            f'--bootstrap-public-url={self._site.url("keystone")}',
            f'--bootstrap-internal-url={self._site.url("keystone")}',
            f'--bootstrap-region-id={settings.REGION}',
        )

    def neutron(self) -> None:
        """Create Neutron's schema."""
        config = f'--config-file={self._etc}/neutron/neutron.conf'
        self._run('neutron-db-manage', config, 'upgrade', 'heads')

    def nova(self) -> None:
        """Create Nova's schemas: the API's, cell 0, and the only real cell."""
        config = f'--config-file={self._etc}/nova/nova.conf'

        def manage(*words: str) -> None:
            self._run('nova-manage', config, *words)

        manage('api_db', 'sync')
        cell0 = self._site.databases['nova_cell0']
        manage('cell_v2', 'map_cell0', f'--database_connection={cell0}')
        manage('cell_v2', 'create_cell', '--name=cell1')
        manage('db', 'sync')

    def others(self) -> None:
        """Create the schemas of Placement, Glance and this project."""
        etc = self._etc
        self._run(
            'placement-manage',
            f'--config-file={etc}/placement/placement.conf',
            'db',
            'sync',
        )
        self._run(
            'glance-manage',
            f'--config-file={etc}/glance/glance-api.conf',
            'db_sync',
        )
        self._run(
            'pci-passthrough-manage',
            f'--config-file={etc}/pci_passthrough/conductor.conf',
            'db',
            'sync',
        )
