# SPDX-License-Identifier: Apache-2.0
"""Devices of other types than PCI: longer addresses, and the type.

Conductors of the release before go on working, as long as no host offers a
device of another type. Columns that such a device leaves empty stay NOT NULL.
"""

from alembic import op
import sqlalchemy as sa

revision = '006'
down_revision = '005'

#: Up to 255 bytes of utf8mb4, so that MariaDB copies no table.
_ADDRESS = sa.String(63)


def upgrade() -> None:
    """Add the type, and widen the addresses, in place on every database.

    Only what is not there yet: MariaDB cannot roll this back.
    """
    existing = sa.inspect(op.get_bind()).get_columns('pool_keys')
    if 'resource_type' not in {column['name'] for column in existing}:
        op.add_column(
            'pool_keys',
            sa.Column(
                'resource_type',
                sa.String(32),
                nullable=False,
                server_default='pci',
            ),
        )
    # SQLite does not enforce the length of texts.
    if op.get_bind().dialect.name != 'sqlite':
        for table, column, is_nullable in (
            ('pci_devices', 'address', False),
            ('pci_devices', 'parent_addr', True),
            ('pci_device_events', 'address', False),
        ):
            op.alter_column(
                table,
                column,
                type_=_ADDRESS,
                existing_type=sa.String(16),
                existing_nullable=is_nullable,
            )
