# SPDX-License-Identifier: Apache-2.0
"""Counts the devices that projects hold, for the limits of a claim.

If a limit applies, claims of one project by one PCI flavor take turns, on
whatever hosts: each writes a row of ``quota_turns`` before it counts, and the
next one counts after this one is committed. The row is written, not read with
a lock: the nodes of a Galera cluster do not know each other's locks.

A claim locks its host first, then takes its turns in the order of the PCI
flavors' UUIDs, then locks the PCI flavors. Nobody who has a turn waits for a
host, and nobody who changes a PCI flavor waits for a turn, so no circle is
possible.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.pci_flavors import resolving

_devices = models.pci_devices
_turns = models.quota_turns

#: Returns the limits of a project for PCI flavors, by name; those without a
#: limit are left out. It raises LimitsUnknown.
LimitsOf = Callable[[str, Collection[str]], Mapping[str, int]]


def no_limits(
    project_id: str, pci_flavors: Collection[str]
) -> Mapping[str, int]:
    """Return that no PCI flavor has a limit: a ``LimitsOf``."""
    return {}


class ClaimLimits:
    """The limits that apply to one claim.

    If the limits are not known, an instance that takes no more than it holds
    is served all the same, and others are not.

    :ivar by_uuid: limits by UUID of a PCI flavor.
    """

    def __init__(
        self,
        request: claims.ClaimRequest,
        demands: Sequence[claims.Demand],
        limits_of: LimitsOf,
    ) -> None:
        self._request = request
        self._unknown: exception.LimitsUnknown | None = None
        self.by_uuid: Mapping[str, int] = {}
        project = request.owner_project_id
        if project is None:
            return
        names = {
            alternative.pci_flavor_uuid: alternative.name.removesuffix(
                claims.ON_NETWORK
            )
            for demand in demands
            for alternative in demand.alternatives
        }
        try:
            self.by_uuid = _by_uuid(names, project, limits_of)
        except exception.LimitsUnknown as error:
            self._unknown = error
            self.by_uuid = dict.fromkeys(names, 0)

    def take_turns(
        self, connection: sa.Connection, node_id: int
    ) -> dict[str, claims.Quota]:
        """Wait for other claims by these PCI flavors; return the quotas.

        :param node_id: the host, which the caller has locked.
        """
        project = self._request.owner_project_id
        if project is None or not self.by_uuid:
            return {}
        for uuid in sorted(self.by_uuid):
            _take_turn(connection, project, uuid)
        return select(
            connection,
            project,
            self.by_uuid,
            self._request.instance_uuid,
            node_id,
            self._request.replaces,
        )

    def check_known(self, refused: exception.ClaimRefused) -> None:
        """Check that a refusal is due to a limit that is known.

        :raises: LimitsUnknown
        """
        if self._unknown is not None and any(
            reason.condition == fields.RefusalCondition.QUOTA_EXCEEDED
            for reason in refused.reasons
        ):
            raise self._unknown from refused


def _by_uuid(
    names: Mapping[str, str], project_id: str, limits_of: LimitsOf
) -> dict[str, int]:
    """Return the limits of a project by UUID of a PCI flavor.

    :param names: UUIDs of PCI flavors to their names.
    """
    limits = limits_of(project_id, set(names.values()))
    return {
        uuid: limits[name] for uuid, name in names.items() if name in limits
    }


def _take_turn(
    connection: sa.Connection, project_id: str, pci_flavor_uuid: str
) -> None:
    updated = connection.execute(
        _turns.update()
        .where(
            _turns.c.project_id == project_id,
            _turns.c.pci_flavor_uuid == pci_flavor_uuid,
        )
        .values(revision=_turns.c.revision + 1)
    )
    if not updated.rowcount:
        # If another claim is as fast, one of both is repeated.
        connection.execute(
            _turns.insert(),
            {
                'project_id': project_id,
                'pci_flavor_uuid': pci_flavor_uuid,
                'revision': 1,
            },
        )


def held_by_instance(
    columns: Sequence[sa.Column[Any]],
    node_id: int | None,
    *conditions: sa.ColumnElement[bool],
) -> sa.Subquery:
    """Select how many devices each instance holds.

    An instance that is being moved has devices on two hosts: ``most`` is the
    greater number. ``here`` is the number on one host.

    :param columns: the columns of ``pci_devices`` to group by, beside the
        instance.
    :param node_id: that host; None means none.
    :param conditions: which held devices count.
    """
    keys = (*columns, _devices.c.instance_uuid)
    by_host = (
        sa.select(
            *keys,
            _devices.c.compute_node_id,
            sa.func.count().label('devices'),
        )
        .where(_devices.c.status.in_(lifecycle.OWNED), *conditions)
        .group_by(*keys, _devices.c.compute_node_id)
        .subquery()
    )
    devices = by_host.c.devices
    here = sa.case((by_host.c.compute_node_id == node_id, devices), else_=0)
    grouped = [by_host.c[key.name] for key in keys]
    return (
        sa.select(
            *grouped,
            sa.func.max(devices).label('most'),
            sa.func.sum(here).label('here'),
        )
        .group_by(*grouped)
        .subquery()
    )


def select(
    connection: sa.Connection,
    project_id: str,
    limits: Mapping[str, int],
    instance_uuid: str | None = None,
    node_id: int | None = None,
    replaces: bool = False,
) -> dict[str, claims.Quota]:
    """Return the quotas of a project, with one query.

    :param limits: by UUID of a PCI flavor.
    :param instance_uuid: the instance that is to get devices; None means that
        it does not exist yet.
    :param node_id: the host on which it is to get them; None means another
        one than those on which it holds devices.
    :param replaces: whether the new devices replace those on that host.
    """
    # The instance's own devices may be older than the record of its project.
    of_project = _devices.c.project_id == project_id
    if instance_uuid is not None:
        of_project |= _devices.c.instance_uuid == instance_uuid
    by_instance = held_by_instance(
        (_devices.c.pci_flavor_uuid,),
        node_id,
        _devices.c.pci_flavor_uuid.in_(sorted(limits)),
        of_project,
    )
    most, is_own = (
        by_instance.c.most,
        by_instance.c.instance_uuid == instance_uuid,
    )
    statement = sa.select(
        by_instance.c.pci_flavor_uuid,
        sa.func.sum(sa.case((is_own, 0), else_=most)),
        sa.func.sum(sa.case((is_own, most), else_=0)),
        sa.func.sum(sa.case((is_own, by_instance.c.here), else_=0)),
    ).group_by(by_instance.c.pci_flavor_uuid)
    used = {
        uuid: (int(others), int(own), 0 if replaces else int(kept))
        for uuid, others, own, kept in connection.execute(statement)
    }
    return {
        uuid: claims.Quota(limit, *used.get(uuid, (0, 0, 0)))
        for uuid, limit in limits.items()
    }


@database.retried
def check(
    db: database.Reader,
    limits_of: LimitsOf,
    project_id: str,
    requests: Sequence[objects.PciRequest],
    servers: int = 1,
    instance_uuid: str | None = None,
    host: str | None = None,
    replaces: bool = False,
) -> objects.QuotaAnswer:
    """Check requests of a project against its limits, before any claim.

    :param requests: those of one server.
    :param servers: how many equal servers are wanted.
    :param instance_uuid: the instance, if it exists already.
    :param host: the host of that instance.
    :param replaces: whether it gives its other devices back.
    :raises: LimitsUnknown; PciFlavorNotFound, InvalidRequest
    """
    resolved = resolving.resolve(
        db, [r.replace(nic=None) for r in requests], take_disabled=True
    )
    names = {a.uuid: a.name for r in resolved for a in r.alternatives}
    limits = _by_uuid(names, project_id, limits_of)
    if not limits:
        return objects.QuotaAnswer(servers=servers, excesses=[])
    wanted = [(r.count, [a.uuid for a in r.alternatives]) for r in resolved]
    nodes = models.compute_nodes
    with db.read() as connection:
        node_id = connection.execute(
            sa.select(nodes.c.id).where(nodes.c.host == host)
        ).scalar_one_or_none()
        quotas = select(
            connection, project_id, limits, instance_uuid, node_id, replaces
        )
    served = claims.servers_with_room(wanted, quotas, servers)
    return objects.QuotaAnswer(
        servers=served,
        excesses=[]
        if served == servers
        else [
            objects.QuotaExcess(
                pci_flavor=names[excess.pci_flavor_uuid],
                limit=excess.quota.limit,
                used=excess.quota.used,
                wanted=excess.wanted,
            )
            for excess in claims.excesses(wanted, quotas, servers)
        ],
    )
