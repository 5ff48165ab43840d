# SPDX-License-Identifier: Apache-2.0
"""Preparation of devices, failed starts, vGPU types, projects of refusals.

Only additions, and all new columns may be NULL or have a default, so
conductors of the release before go on working. They know no handlers: a device
that is freed by one of them is available at once.
"""

from typing import Any

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = '005'
down_revision = '004'

_TIMESTAMP = sa.DateTime().with_variant(
    mysql.DATETIME(fsp=6), 'mysql', 'mariadb'
)


def upgrade() -> None:
    """Add columns and indexes, in place on every database.

    Only what is not there yet: MariaDB cannot roll this back.
    """
    _add_columns('pool_keys', sa.Column('vgpu_type', sa.String(16)))
    _add_columns(
        'pci_devices',
        sa.Column('handlers', sa.Text),
        sa.Column('on_failure', sa.String(16)),
        sa.Column('preparation', sa.BigInteger),
        sa.Column('preparation_running', sa.BigInteger),
        sa.Column('preparation_step', sa.String(16)),
        sa.Column('preparation_attempt', sa.Integer),
        sa.Column('preparation_since', _TIMESTAMP),
        sa.Column('preparation_percent', sa.Integer),
        sa.Column('preparation_text', sa.Text),
        sa.Column('quarantine_reason', sa.Text),
        sa.Column(
            'failed_starts', sa.Integer, nullable=False, server_default='0'
        ),
        sa.Column('failed_instances', sa.Text),
        sa.Column('start_failed_for', sa.String(36)),
        sa.Column('start_failure', sa.Text),
    )
    _add_columns(
        'scheduling_refusals',
        sa.Column('conditions', sa.Text),
        sa.Column('pci_flavors', sa.Text),
        sa.Column('project_id', sa.String(255)),
        sa.Column('passed', sa.Integer),
    )
    _add_index(
        'pci_devices',
        'ix_pci_devices_failed',
        ['failed_starts', 'free_key', 'compute_node_id'],
    )
    _add_index(
        'pci_devices',
        'ix_pci_devices_sharing',
        ['compute_node_id', 'shared_group'],
    )
    _add_index(
        'scheduling_refusals',
        'ix_scheduling_refusals_project',
        ['project_id', 'created_at'],
    )


def _add_columns(table: str, *columns: sa.Column[Any]) -> None:
    existing = sa.inspect(op.get_bind()).get_columns(table)
    names = {column['name'] for column in existing}
    for column in columns:
        if column.name not in names:
            op.add_column(table, column)


def _add_index(table: str, name: str, columns: list[str]) -> None:
    indexes = sa.inspect(op.get_bind()).get_indexes(table)
    if name not in {index['name'] for index in indexes}:
        op.create_index(name, table, columns)
