# SPDX-License-Identifier: Apache-2.0
"""Free devices, one by one: the candidates that a claim chooses from."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough.objects import fields
from pci_passthrough.store import exclusion
from pci_passthrough.store import models

_devices = models.pci_devices


def of_host(
    connection: sa.Connection,
    node_id: int,
    key_ids: Collection[int],
    instance_uuid: str,
) -> list[claims.Candidate]:
    """Return the devices of one host that an instance can claim now.

    :param key_ids: the pool keys that serve the requests. Physical functions
        are always among the candidates, so that the choice can spare those of
        which no virtual function is held.
    """
    statement = _select(
        _devices.c.free_key.in_(sorted(key_ids))
        | (_devices.c.dev_type == fields.DevType.SRIOV_PF),
        exclusion.not_excluded_for_claim(_devices),
    )
    rows = connection.execute(
        statement.add_columns(_devices.c.capabilities).where(
            _devices.c.compute_node_id == node_id,
            _devices.c.free_key.is_not(None),
        ),
        {exclusion.CLAIMANT: instance_uuid},
    )
    return [
        from_row(*columns, features=len(capabilities))
        for _, *columns, capabilities in map(tuple[Any, ...], rows)
    ]


def select(wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query of candidates for an instance that holds no device.

    The first column is the host's id.
    """
    return _select(wanted, exclusion.not_excluded(_devices))


def _select(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(
        _devices.c.compute_node_id,
        _devices.c.id,
        _devices.c.free_key,
        _devices.c.address,
        _devices.c.parent_addr,
        _devices.c.dev_type,
        _devices.c.failed_starts,
    ).where(*conditions)


def from_row(
    device_id: int,
    key_id: int,
    address: str,
    parent_addr: str | None,
    dev_type: str,
    failed_starts: int,
    *,
    features: int = 0,
) -> claims.Candidate:
    """Turn a row of ``select``, without the host's id, into a candidate."""
    is_pf = dev_type == fields.DevType.SRIOV_PF
    return claims.Candidate(
        device_id,
        key_id,
        address,
        address if is_pf else parent_addr,
        is_pf,
        features,
        failed_starts,
    )
