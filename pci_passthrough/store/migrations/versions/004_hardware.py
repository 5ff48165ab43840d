# SPDX-License-Identifier: Apache-2.0
"""Identity of devices, refusals of hosts, and devices that belong together.

Only additions, and all new columns may be NULL, so conductors of the release
before go on working. To them, a refused device is a withdrawn one.
"""

from alembic import op
import sqlalchemy as sa

revision = '004'
down_revision = '003'


def upgrade() -> None:
    """Add columns and an index, in place on every database.

    Only what is not there yet: MariaDB cannot roll this back.
    """
    columns = sa.inspect(op.get_bind()).get_columns('pci_devices')
    names = {existing['name'] for existing in columns}
    for column in (
        sa.Column('serial_number', sa.String(128)),
        sa.Column('refusal', sa.Text),
        sa.Column('conflict', sa.Text),
        sa.Column('shared_group', sa.Integer),
    ):
        if column.name not in names:
            op.add_column('pci_devices', column)
    indexes = sa.inspect(op.get_bind()).get_indexes('pci_devices')
    if 'ix_pci_devices_group' not in {index['name'] for index in indexes}:
        op.create_index(
            'ix_pci_devices_group',
            'pci_devices',
            ['shared_group', 'compute_node_id', 'status'],
        )
