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
            ['shared_group', 'compute_node_id', 'status', 'free_key'],
        )
    op.execute(_shared_groups())


def _shared_groups() -> sa.Update:
    """Record the IOMMU groups of which a host has several devices.

    Later, each report does it; but hosts where nothing changes send none.
    """
    devices = sa.table(
        'pci_devices',
        *map(sa.column, ('id', 'compute_node_id', 'iommu_group')),
        sa.column('shared_group'),
    )
    shared = (
        sa.select(devices.c.compute_node_id, devices.c.iommu_group)
        .where(devices.c.iommu_group.is_not(None))
        .group_by(devices.c.compute_node_id, devices.c.iommu_group)
        .having(sa.func.count() > 1)
        .subquery('shared')
    )
    members = (
        sa.select(devices.c.id)
        .join(
            shared,
            (shared.c.compute_node_id == devices.c.compute_node_id)
            & (shared.c.iommu_group == devices.c.iommu_group),
        )
        # Else MySQL does not update a table that it also reads.
        .distinct()
        .subquery('members')
    )
    return (
        sa.update(devices)
        .where(devices.c.id.in_(sa.select(members.c.id)))
        .values(shared_group=devices.c.iommu_group)
    )
