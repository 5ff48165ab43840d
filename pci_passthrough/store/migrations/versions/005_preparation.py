# SPDX-License-Identifier: Apache-2.0
"""Preparation of devices between two instances, and failed starts.

Only additions, and all new columns may be NULL or have a default, so
conductors of the release before go on working. They know no handlers: a device
that is freed by one of them is available at once.
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = '005'
down_revision = '004'

_TIMESTAMP = sa.DateTime().with_variant(
    mysql.DATETIME(fsp=6), 'mysql', 'mariadb'
)


def upgrade() -> None:
    """Add columns and an index, in place on every database.

    Only what is not there yet: MariaDB cannot roll this back.
    """
    columns = sa.inspect(op.get_bind()).get_columns('pci_devices')
    names = {existing['name'] for existing in columns}
    for column in (
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
    ):
        if column.name not in names:
            op.add_column('pci_devices', column)
    indexes = sa.inspect(op.get_bind()).get_indexes('pci_devices')
    if 'ix_pci_devices_failed' not in {index['name'] for index in indexes}:
        op.create_index(
            'ix_pci_devices_failed',
            'pci_devices',
            ['failed_starts', 'free_key', 'compute_node_id'],
        )
