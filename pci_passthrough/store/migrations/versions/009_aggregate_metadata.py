# SPDX-License-Identifier: Apache-2.0
"""Conditions of PCI flavors on Nova's host aggregates.

Conductors of the release before go on working, and do not restrict PCI flavors
to aggregates: set no conditions until all are upgraded.
"""

from alembic import op
import sqlalchemy as sa

revision = '009'
down_revision = '008'


def upgrade() -> None:
    """Add a column, in place on every database, if it is not there yet."""
    existing = sa.inspect(op.get_bind()).get_columns('pci_flavors')
    if 'aggregate_metadata' not in {column['name'] for column in existing}:
        op.add_column(
            'pci_flavors', sa.Column('aggregate_metadata', sa.Text())
        )
