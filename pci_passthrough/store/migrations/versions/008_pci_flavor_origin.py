# SPDX-License-Identifier: Apache-2.0
"""The origin of PCI flavors, and those that are built in.

Conductors of the release before go on working. To them, the built-in PCI
flavors are private and disabled ones that an operator could have made.
"""

import datetime
import json
import uuid

from alembic import op
import sqlalchemy as sa

revision = '008'
down_revision = '007'

#: The UUIDs are the same in every cloud.
_NAMESPACE = uuid.UUID('3261c3ad-b871-5329-8383-adfca81d1704')

#: Name to the class of devices, and what users may read.
_BUILT_IN = {
    'class-network': ('network', 'a network device'),
    'class-display': ('display', 'a display device, such as a GPU'),
    'class-storage': ('storage', 'a storage device'),
    'class-crypto': ('crypto', 'an accelerator of encryption'),
}

#: No physical functions: who gets one gets a whole card, and nobody can get
#: its virtual functions any more.
_DEV_TYPES = ['type-PCI', 'type-VF']

_flavors = sa.table(
    'pci_flavors',
    *map(sa.column, ('uuid', 'name', 'description', 'match', 'state')),
    *map(sa.column, ('origin', 'generation', 'created_at')),
    sa.column('is_public', sa.Boolean),
)


def upgrade() -> None:
    """Add a column in place on every database, and rows that are not there.

    A PCI flavor that has one of the names already stays as it is.
    """
    connection = op.get_bind()
    existing = sa.inspect(connection).get_columns('pci_flavors')
    if 'origin' not in {column['name'] for column in existing}:
        op.add_column('pci_flavors', sa.Column('origin', sa.String(16)))
    names = set(connection.execute(sa.select(_flavors.c.name)).scalars())
    rows = [_row(name) for name in _BUILT_IN if name not in names]
    if rows:
        connection.execute(_flavors.insert(), rows)


def _row(name: str) -> dict[str, object]:
    pci_class, description = _BUILT_IN[name]
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return {
        'uuid': str(uuid.uuid5(_NAMESPACE, name)),
        'name': name,
        'description': description,
        'match': json.dumps([{'class': pci_class, 'dev_type': _DEV_TYPES}]),
        'state': 'disabled',
        'origin': 'built-in',
        'generation': 1,
        'created_at': now,
        'is_public': False,
    }
