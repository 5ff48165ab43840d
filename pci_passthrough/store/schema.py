# SPDX-License-Identifier: Apache-2.0
"""The schema's version: bringing it up to date, and checking it."""

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

    It may be repeated, and old services go on working on the new schema of
    the next release (only additions).
    """
    config = _config()
    with db.engine.begin() as connection:
        config.attributes['connection'] = connection
        command.upgrade(config, 'head')
    return str(version(db))


def version(db: database.Reader) -> str | None:
    """Return the version that the database has, None if it is empty."""
    with db.read() as connection:
        context = migration.MigrationContext.configure(connection)
        return context.get_current_revision()


def latest() -> str:
    """Return the version which this code needs."""
    head = script.ScriptDirectory.from_config(_config()).get_current_head()
    return str(head)


def check(db: database.Reader) -> None:
    """Refuse to work on a database that lacks what this code needs.

    :raises: DatabaseNotReady
    """
    found = version(db)
    if found is None:
        raise exception.DatabaseNotReady(
            'the database is empty; run: pci-passthrough-manage db sync'
        )
    known = {s.revision for s in _scripts()}
    if found in known and found != latest():
        raise exception.DatabaseNotReady(
            f'the database has schema {found}, this release needs '
            f'{latest()}; run: pci-passthrough-manage db sync'
        )


def _scripts() -> list[script.Script]:
    return list(script.ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> alembic_config.Config:
    config = alembic_config.Config()
    # A percent sign of a path would begin a reference.
    location = str(_MIGRATIONS).replace('%', '%%')
    config.set_main_option('script_location', location)
    return config
