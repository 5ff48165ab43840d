# SPDX-License-Identifier: Apache-2.0
"""The first schema: hosts, pool keys, devices, ledger, PCI flavors."""

from typing import Any

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = '001'
down_revision = None

_TABLE_ARGS: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mysql_collate': 'utf8mb4_bin',
}
_TIMESTAMP = sa.DateTime().with_variant(
    mysql.DATETIME(fsp=6), 'mysql', 'mariadb'
)
_FREE_KEY = (
    "CASE WHEN status = 'available' AND presence = 'offered' "
    'AND disabled_reason IS NULL THEN pool_key_id END'
)
_OWNER_CHECK = (
    "(instance_uuid IS NOT NULL) = (status IN ('claimed', 'allocated'))"
)


def upgrade() -> None:
    """Create all tables."""
    _hosts_and_keys()
    _flavors()
    _devices()
    _ledger()


def _hosts_and_keys() -> None:
    op.create_table(
        'compute_nodes',
        sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('host', sa.String(255), nullable=False, unique=True),
        sa.Column('revision', sa.BigInteger, nullable=False),
        sa.Column('generation', sa.BigInteger, nullable=False),
        sa.Column('sequence', sa.BigInteger, nullable=False),
        sa.Column('digest', sa.String(64), nullable=False),
        sa.Column('agent_version', sa.String(64), nullable=False),
        sa.Column('last_report_at', _TIMESTAMP, nullable=False),
        sa.Column('created_at', _TIMESTAMP, nullable=False),
        **_TABLE_ARGS,
    )
    op.create_table(
        'pool_keys',
        sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('digest', sa.String(64), nullable=False, unique=True),
        sa.Column('vendor_id', sa.String(4), nullable=False),
        sa.Column('product_id', sa.String(4), nullable=False),
        sa.Column('subsystem_vendor_id', sa.String(4)),
        sa.Column('subsystem_id', sa.String(4)),
        sa.Column('pci_class', sa.String(6), nullable=False),
        sa.Column('dev_type', sa.String(16), nullable=False),
        sa.Column('driver', sa.String(64)),
        sa.Column('numa_node', sa.Integer),
        sa.Column('extra_info', sa.Text, nullable=False),
        sqlite_autoincrement=True,
        **_TABLE_ARGS,
    )


def _devices() -> None:
    op.create_table(
        'pci_devices',
        sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('uuid', sa.String(36), nullable=False, unique=True),
        sa.Column('compute_node_id', sa.Integer, nullable=False),
        sa.Column('address', sa.String(16), nullable=False),
        sa.Column('parent_addr', sa.String(16)),
        sa.Column('dev_type', sa.String(16), nullable=False),
        sa.Column('pool_key_id', sa.Integer, nullable=False),
        sa.Column('status', sa.String(16), nullable=False),
        sa.Column('presence', sa.String(16), nullable=False),
        sa.Column('disabled_reason', sa.String(255)),
        sa.Column(
            'free_key', sa.Integer, sa.Computed(_FREE_KEY, persisted=True)
        ),
        sa.Column('instance_uuid', sa.String(36)),
        sa.Column('request_id', sa.String(64)),
        sa.Column('pci_flavor_uuid', sa.String(36)),
        sa.Column('iommu_group', sa.Integer),
        sa.Column('devname', sa.String(64)),
        sa.Column('mac_address', sa.String(32)),
        sa.Column('link_speed', sa.Integer),
        sa.Column('total_vfs', sa.Integer),
        sa.Column('capabilities', sa.Text, nullable=False),
        sa.Column('created_at', _TIMESTAMP, nullable=False),
        sa.Column('updated_at', _TIMESTAMP),
        *_device_keys(),
        sa.CheckConstraint(_OWNER_CHECK, name='ck_pci_devices_owner'),
        **_TABLE_ARGS,
    )
    _device_indexes()
    if op.get_bind().dialect.name == 'postgresql':
        # Each claim leaves a dead row; with the default of 20 % the counts
        # would slow down five times before they are vacuumed.
        op.execute(
            'ALTER TABLE pci_devices SET '
            '(autovacuum_vacuum_scale_factor = 0.01)'
        )


def _device_keys() -> tuple[sa.Constraint, ...]:
    return (
        sa.ForeignKeyConstraint(
            ['compute_node_id'],
            ['compute_nodes.id'],
            name='fk_pci_devices_compute_node',
        ),
        sa.ForeignKeyConstraint(
            ['pool_key_id'], ['pool_keys.id'], name='fk_pci_devices_pool_key'
        ),
        sa.ForeignKeyConstraint(
            ['pci_flavor_uuid'],
            ['pci_flavors.uuid'],
            name='fk_pci_devices_pci_flavor',
        ),
        sa.UniqueConstraint(
            'compute_node_id', 'address', name='uniq_pci_devices_address'
        ),
    )


def _device_indexes() -> None:
    for name, *columns in (
        ('free', 'free_key', 'compute_node_id', 'address'),
        ('family', 'compute_node_id', 'parent_addr', 'status', 'free_key'),
        ('type', 'dev_type', 'status', 'compute_node_id', 'address'),
        ('pool_key', 'pool_key_id'),
        ('instance', 'instance_uuid'),
        ('flavor', 'pci_flavor_uuid'),
    ):
        op.create_index(f'ix_pci_devices_{name}', 'pci_devices', columns)


def _ledger() -> None:
    op.create_table(
        'pci_device_events',
        sa.Column(
            'id',
            sa.BigInteger().with_variant(sa.Integer, 'sqlite'),
            primary_key=True,
        ),
        sa.Column('device_uuid', sa.String(36), nullable=False),
        sa.Column('host', sa.String(255), nullable=False),
        sa.Column('address', sa.String(16), nullable=False),
        sa.Column('created_at', _TIMESTAMP, nullable=False),
        sa.Column('action', sa.String(32), nullable=False),
        sa.Column('from_state', sa.String(16)),
        sa.Column('to_state', sa.String(16)),
        sa.Column('actor', sa.String(255), nullable=False),
        sa.Column('reason', sa.Text),
        sa.Column('instance_uuid', sa.String(36)),
        **_TABLE_ARGS,
    )
    for name, column in (
        ('device', 'device_uuid'),
        ('created', 'created_at'),
    ):
        op.create_index(
            f'ix_pci_device_events_{name}', 'pci_device_events', [column]
        )


def _flavors() -> None:
    op.create_table(
        'pci_flavors',
        sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('uuid', sa.String(36), nullable=False, unique=True),
        sa.Column('name', sa.String(255), nullable=False, unique=True),
        sa.Column('description', sa.Text),
        sa.Column('match', sa.Text, nullable=False),
        sa.Column('vnic_type', sa.String(16)),
        sa.Column('numa_policy', sa.String(16)),
        sa.Column('is_public', sa.Boolean, nullable=False),
        sa.Column('project_id', sa.String(255)),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('generation', sa.Integer, nullable=False),
        sa.Column('created_at', _TIMESTAMP, nullable=False),
        sa.Column('updated_at', _TIMESTAMP),
        **_TABLE_ARGS,
    )
    op.create_table(
        'pci_flavor_access',
        sa.Column('pci_flavor_id', sa.Integer, primary_key=True),
        sa.Column('project_id', sa.String(255), primary_key=True),
        sa.ForeignKeyConstraint(
            ['pci_flavor_id'],
            ['pci_flavors.id'],
            name='fk_pci_flavor_access_flavor',
            ondelete='CASCADE',
        ),
        **_TABLE_ARGS,
    )
