# SPDX-License-Identifier: Apache-2.0
"""PCI flavors that were deleted while something held devices by them.

Only an addition, and it may be NULL: conductors of the release before go on
working. To them, such a PCI flavor is there.
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = '003'
down_revision = '002'

_TIMESTAMP = sa.DateTime().with_variant(
    mysql.DATETIME(fsp=6), 'mysql', 'mariadb'
)


def upgrade() -> None:
    """Add a column, in place on every database.

    Only if it is not there yet: MariaDB cannot roll this back.
    """
    columns = sa.inspect(op.get_bind()).get_columns('pci_flavors')
    if 'deleted_at' not in {existing['name'] for existing in columns}:
        op.add_column('pci_flavors', sa.Column('deleted_at', _TIMESTAMP))
