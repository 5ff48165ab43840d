# SPDX-License-Identifier: Apache-2.0
"""Why no host serves a set of requests."""

from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store import pools


@database.retried
def refusals(
    db: database.Database,
    catalog: pool_keys.Catalog,
    host_timeout: float,
    demands: Sequence[claims.Demand],
    numa: objects.NumaAffinity | None = None,
) -> list[objects.RefusalReason]:
    """Return the first condition that fails on each host that is up.

    Hosts that could serve the requests are left out.
    """
    nodes = models.compute_nodes
    statement = (
        sa.select(nodes.c.id, nodes.c.host)
        .where(nodes.c.last_report_at >= hosts.cutoff(host_timeout))
        .order_by(nodes.c.host)
    )
    get_key = catalog.__getitem__
    reasons: list[objects.RefusalReason] = []
    with db.snapshot() as connection:
        catalog.refresh(connection)
        supplies = pools.supply(connection, catalog, None, host_timeout)
        for node_id, host in connection.execute(statement).tuples().all():
            supply = supplies.get(host, claims.Supply({}))
            if claims.decide(supply, demands, get_key, numa) is None:
                totals = pools.totals_by_state(connection, node_id)
                reasons += claims.explain(
                    host, demands, supply, totals, get_key, numa
                )
    return reasons
