# SPDX-License-Identifier: Apache-2.0
"""The version of the database schema: upgrading and checking it."""

import pathlib

from alembic import command
from alembic import config as alembic_config
from alembic import migration
from alembic import script

from pci_passthrough import exception
from pci_passthrough.store import database

_MIGRATIONS = pathlib.Path(__file__).parent / 'migrations'


def sync(db: database.Writer) -> str:
    """Create or upgrade the schema; return its version.

    Repeating it changes nothing. Migrations only add, so services of the
    release before go on working.
    """
    config = _config()
    with db.engine.begin() as connection:
        config.attributes['connection'] = connection
        command.upgrade(config, 'head')
    return str(version(db))


def version(db: database.Reader) -> str | None:
    """Return the database's schema version; None if it is empty."""
    with db.read() as connection:
        context = migration.MigrationContext.configure(connection)
        return context.get_current_revision()


def latest() -> str:
    """Return the schema version that this code needs."""
    head = script.ScriptDirectory.from_config(_config()).get_current_head()
    return str(head)


def check(db: database.Reader) -> None:
    """Check that a database has the schema that this code needs.

    A newer schema is accepted: it has only additions.

    :raises: DatabaseNotReady
    """
    current = version(db)
    if current is None:
        raise exception.DatabaseNotReady(
            'the database is empty; run: pci-passthrough-manage db sync'
        )
    known = {s.revision for s in _scripts()}
    if current in known and current != latest():
        raise exception.DatabaseNotReady(
            f'the database has schema {current}, this release needs '
            f'{latest()}; run: pci-passthrough-manage db sync'
        )


def _scripts() -> list[script.Script]:
    return list(script.ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> alembic_config.Config:
    config = alembic_config.Config()
    # alembic would take a percent sign in the path for a reference.
    location = str(_MIGRATIONS).replace('%', '%%')
    config.set_main_option('script_location', location)
    return config
