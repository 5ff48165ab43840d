# SPDX-License-Identifier: Apache-2.0
"""The periodic audit: whose turn it is, and what the last one has found.

Conductors of the release before go on working.
"""

from alembic import op
import sqlalchemy as sa

revision = '010'
down_revision = '009'


def upgrade() -> None:
    """Add a table, if it is not there yet: MariaDB cannot roll this back."""
    if 'audits' not in sa.inspect(op.get_bind()).get_table_names():
        op.create_table(
            'audits',
            sa.Column('id', sa.Integer, primary_key=True, autoincrement=False),
            sa.Column('begun_at', sa.DateTime, nullable=False),
            sa.Column('ended_at', sa.DateTime),
            sa.Column('differences', sa.Text),
            mysql_engine='InnoDB',
            mysql_charset='utf8mb4',
            mysql_collate='utf8mb4_bin',
        )
