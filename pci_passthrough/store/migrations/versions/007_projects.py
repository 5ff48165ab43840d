# SPDX-License-Identifier: Apache-2.0
"""The projects of the instances that hold devices, for quotas and showback.

Conductors of the release before go on working: they leave the columns as they
are. nova-compute tells the projects of the devices that are held already.
"""

from alembic import op
import sqlalchemy as sa

revision = '007'
down_revision = '006'

_COLUMNS = (
    ('pci_devices', 'project_id', 255),
    ('pci_device_events', 'project_id', 255),
    ('pci_device_events', 'pci_flavor_uuid', 36),
)
_INDEXES = (
    ('ix_pci_devices_project', 'pci_devices', 'pci_flavor_uuid'),
    ('ix_pci_device_events_project', 'pci_device_events', 'created_at'),
)


def upgrade() -> None:
    """Add the columns and their indexes, in place on every database.

    Only what is not there yet: MariaDB cannot roll this back.
    """
    inspector = sa.inspect(op.get_bind())
    for table, column, length in _COLUMNS:
        existing = {c['name'] for c in inspector.get_columns(table)}
        if column not in existing:
            op.add_column(table, sa.Column(column, sa.String(length)))
    if 'quota_turns' not in inspector.get_table_names():
        op.create_table(
            'quota_turns',
            sa.Column('project_id', sa.String(255), primary_key=True),
            sa.Column('pci_flavor_uuid', sa.String(36), primary_key=True),
            sa.Column('revision', sa.BigInteger, nullable=False),
            mysql_engine='InnoDB',
            mysql_charset='utf8mb4',
            mysql_collate='utf8mb4_bin',
        )
    for name, table, second in _INDEXES:
        indexes = {i['name'] for i in inspector.get_indexes(table)}
        if name not in indexes:
            op.create_index(name, table, ['project_id', second])
