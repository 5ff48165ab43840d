# SPDX-License-Identifier: Apache-2.0
"""Resource trackers, entries that offer a device, scheduler's refusals.

Only additions, and all new columns may be NULL, so conductors of the release
before go on working.
"""

from typing import Any

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = '002'
down_revision = '001'

_TABLE_ARGS: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mysql_collate': 'utf8mb4_bin',
}
_TIMESTAMP = sa.DateTime().with_variant(
    mysql.DATETIME(fsp=6), 'mysql', 'mariadb'
)


def upgrade() -> None:
    """Add columns, in place on every database, and a table.

    What exists already is left: MariaDB cannot roll back, so an upgrade that
    was killed must be able to go on, and the database contains data.
    """
    for table, column in (
        ('compute_nodes', sa.Column('tracker_version', sa.String(64))),
        ('compute_nodes', sa.Column('tracker_seen_at', _TIMESTAMP)),
        ('pci_devices', sa.Column('offered_by', sa.Text)),
    ):
        columns = sa.inspect(op.get_bind()).get_columns(table)
        if column.name not in {existing['name'] for existing in columns}:
            op.add_column(table, column)
    if not sa.inspect(op.get_bind()).has_table('scheduling_refusals'):
        _refusals()
    indexes = sa.inspect(op.get_bind()).get_indexes('scheduling_refusals')
    for name, column_name in (
        ('ix_scheduling_refusals_instance', 'instance_uuid'),
        ('ix_scheduling_refusals_created', 'created_at'),
    ):
        if name not in {existing['name'] for existing in indexes}:
            op.create_index(name, 'scheduling_refusals', [column_name])


def _refusals() -> None:
    op.create_table(
        'scheduling_refusals',
        sa.Column(
            'id',
            sa.BigInteger().with_variant(sa.Integer, 'sqlite'),
            primary_key=True,
        ),
        sa.Column('instance_uuid', sa.String(36), nullable=False),
        sa.Column('created_at', _TIMESTAMP, nullable=False),
        sa.Column('requests', sa.Text, nullable=False),
        sa.Column('summary', sa.Text, nullable=False),
        sa.Column('reasons', sa.Text, nullable=False),
        **_TABLE_ARGS,
    )
