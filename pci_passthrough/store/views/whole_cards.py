# SPDX-License-Identifier: Apache-2.0
"""Finds PCI flavors that match cards as a whole, and slices of them, too.

A request for such a PCI flavor gets a physical function or one of its virtual
functions, whichever is chosen: on a GPU with vGPU functions, which have the
same product id, a whole card or a slice of one.
"""

from collections.abc import Collection
import dataclasses
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog

_nodes = models.compute_nodes
_pf = models.pci_devices.alias('pf')
_vf = models.pci_devices.alias('vf')

#: Cards that a warning names.
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class WholeAndSlices:
    """The cards that a PCI flavor matches as a whole and in slices.

    :ivar cards: ``vendor_id:product_id`` of the physical functions, sorted.
    :ivar hosts: number of hosts with such a card.
    :ivar example: the name of one of these hosts.
    """

    cards: tuple[str, ...]
    hosts: int
    example: str

    def __str__(self) -> str:
        cards = ', '.join(self.cards[:_MOST_NAMED])
        if len(self.cards) > _MOST_NAMED:
            cards += ', ...'
        hosts = 'host' if self.hosts == 1 else 'hosts'
        return (
            f'The PCI flavor matches whole cards and virtual functions of the '
            f'same cards ({cards}, on {self.hosts} {hosts}, for example '
            f'{self.example}), so a request gets either. Add dev_type to each '
            'alternative of its match: type-PF for whole cards, type-VF or '
            'vdpa for virtual functions.'
        )


@database.retried
def of_flavor(
    db: database.Reader, flavor: objects.PciFlavor
) -> WholeAndSlices | None:
    """Return the cards that a PCI flavor matches in both ways, if any."""
    with db.snapshot() as connection:
        catalog = db.catalog
        catalog.refresh(connection)
        return of_keys(connection, catalog, catalog.of_flavor(flavor))


def of_keys(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    key_ids: Collection[int],
) -> WholeAndSlices | None:
    """Return the cards that pool keys match in both ways, if any.

    Only cards count of which a host, up or down, offers both now.
    """
    physical, virtual = (
        [key_id for key_id in key_ids if catalog[key_id].dev_type in dev_types]
        for dev_types in (
            (fields.DevType.SRIOV_PF,),
            (fields.DevType.SRIOV_VF, fields.DevType.VDPA),
        )
    )
    if not physical or not virtual:
        return None
    rows = connection.execute(_cards(physical, virtual)).all()
    if not rows:
        return None
    keys = [catalog[row.pool_key_id] for row in rows]
    cards = {f'{key.vendor_id}:{key.product_id}' for key in keys}
    hosts = {row.host for row in rows}
    return WholeAndSlices(tuple(sorted(cards)), len(hosts), min(hosts))


def _cards(
    physical: Collection[int], virtual: Collection[int]
) -> sa.Select[Any]:
    """Select pool key and host of the physical functions in question."""
    return (
        sa.select(_pf.c.pool_key_id, _nodes.c.host)
        .join_from(_pf, _nodes, _nodes.c.id == _pf.c.compute_node_id)
        .where(
            _pf.c.pool_key_id.in_(sorted(physical)),
            _pf.c.refusal.is_(None),
            sa.select(_vf.c.id)
            .where(
                _vf.c.compute_node_id == _pf.c.compute_node_id,
                _vf.c.parent_addr == _pf.c.address,
                _vf.c.pool_key_id.in_(sorted(virtual)),
                _vf.c.refusal.is_(None),
            )
            .exists(),
        )
        .distinct()
    )
