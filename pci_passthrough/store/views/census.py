# SPDX-License-Identifier: Apache-2.0
"""The census of devices by PCI flavor, host and state, for the metrics.

It is counted at each scrape. However many hosts and PCI flavors exist, six
statements count everything: the hosts, the devices by host, pool key and
state, the few devices of which more is known, the refusals and the events of
the last hour, and the last audit. The pool keys are matched with the PCI
flavors in this process.
"""

import collections
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import audits
from pci_passthrough.store import database
from pci_passthrough.store import device_states
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.pci_flavors import lookup

#: The refusals and events that are counted are not older.
_HOUR = datetime.timedelta(hours=1)

_nodes = models.compute_nodes
_devices = models.pci_devices

#: States of devices. Each device is in exactly one of them.
STATES: Final = (
    'free',
    'unreachable',
    'held',
    'cleaning',
    'quarantined',
    'disabled',
    'excluded',
    'refused',
    'withdrawn',
    'missing',
    'conflict',
)


@dataclasses.dataclass(frozen=True, slots=True)
class HostSigns:
    """A host's signs of life.

    :ivar report_age: seconds since the agent reported.
    :ivar tracker_age: seconds since the resource tracker registered; None
        means never.
    :ivar is_up: whether the agent reported recently enough.
    :ivar tracker_is_up: whether the tracker registered recently enough.
    """

    host: str
    report_age: float
    tracker_age: float | None
    is_up: bool
    tracker_is_up: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Devices that are counted together.

    :ivar pci_flavor: a name; empty if no PCI flavor matches the devices.
    :ivar numa_node: None if the host does not report it.
    :ivar resource_type: ``pci`` for PCI functions.
    """

    pci_flavor: str
    host: str
    numa_node: int | None
    resource_type: str


@dataclasses.dataclass(frozen=True, slots=True)
class Doubt:
    """A device that is being prepared, or with which guests did not start.

    :ivar cleaning_age: seconds since its preparation was due; None if it is
        not being prepared.
    :ivar percent: progress of its preparation; None means unknown.
    """

    host: str
    address: str
    cleaning_age: float | None
    percent: int | None
    failed_starts: int


@dataclasses.dataclass(frozen=True, slots=True)
class Census:
    """All hosts and devices at one moment.

    :ivar devices: the number of devices in each state, by group. A device
        that two PCI flavors match is in two groups.
    :ivar unserved: name of a PCI flavor to the number of scheduling requests
        of the last hour that found no host for want of it.
    :ivar events: action to the number of events of the last hour.
    :ivar audit: what the last periodic audit has found; None without one.
    """

    hosts: list[HostSigns]
    devices: Mapping[Group, Mapping[str, int]]
    doubts: list[Doubt] = dataclasses.field(default_factory=list)
    unserved: Mapping[str, int] = dataclasses.field(default_factory=dict)
    events: Mapping[str, int] = dataclasses.field(default_factory=dict)
    audit: audits.Result | None = None


def take(
    db: database.Reader,
    limits: policy.Limits,
) -> Census:
    """Count everything.

    A database that does not answer raises at once, without repetition: the
    metrics report that, too.

    :param limits: timeouts after which silent hosts are down.
    :raises: database.ERRORS, Unavailable
    """
    catalog = db.catalog
    with db.snapshot() as connection:
        catalog.refresh(connection)
        nodes = connection.execute(_hosts()).all()
        # After the query, because the database may have been slow.
        now = database.now()
        rows = connection.execute(_counts()).all()
        doubted = connection.execute(_doubted()).all()
        refused = scheduling_refusals.count_by_flavor(connection, now - _HOUR)
        events = ledger.count_by_action(connection, now - _HOUR)
        audit = audits.last(connection, now)
    pci_flavors = lookup.get_all(db)
    flavors = _flavors_by_key(catalog, pci_flavors)
    names: dict[int, str] = {node_id: host for node_id, host, *_ in nodes}
    devices: dict[Group, dict[str, int]] = {}
    signs = [_signs(host, now, limits, *seen) for _, host, *seen in nodes]
    served = {sign.host for sign in signs if sign.is_up and sign.tracker_is_up}
    for node_id, key_id, state, count in rows:
        key = catalog[key_id]
        if state in lifecycle.OWNED:
            state = 'held'
        elif state == 'free' and names[node_id] not in served:
            state = 'unreachable'
        for flavor in flavors.get(key_id, ('',)):
            group = Group(
                flavor, names[node_id], key.numa_node, key.resource_type
            )
            states = devices.setdefault(group, {})
            states[state] = states.get(state, 0) + count
    doubts = [
        Doubt(
            names[node_id],
            address,
            None
            if status != fields.DeviceStatus.CLEANING or since is None
            else (now - since).total_seconds(),
            percent,
            failed_starts,
        )
        for node_id, address, status, since, percent, failed_starts in doubted
        if node_id in names
    ]
    # Names that no longer exist would be metrics for ever.
    unserved = {str(f.name): refused.get(str(f.name), 0) for f in pci_flavors}
    return Census(signs, devices, doubts, unserved, events, audit)


def _flavors_by_key(
    catalog: pool_catalog.Catalog, flavors: list[objects.PciFlavor]
) -> dict[int, list[str]]:
    names: dict[int, list[str]] = collections.defaultdict(list)
    for flavor in flavors:
        for key_id in catalog.of_flavor(flavor):
            names[key_id].append(str(flavor.name))
    return names


def _signs(
    host: str,
    now: datetime.datetime,
    limits: policy.Limits,
    last_report_at: datetime.datetime,
    tracker_seen_at: datetime.datetime | None,
) -> HostSigns:
    report_age = (now - last_report_at).total_seconds()
    tracker_age = None
    if tracker_seen_at is not None:
        tracker_age = (now - tracker_seen_at).total_seconds()
    return HostSigns(
        host,
        report_age,
        tracker_age,
        report_age <= limits.host_timeout,
        tracker_age is not None
        and tracker_age <= (limits.tracker_timeout or 0),
    )


def _hosts() -> sa.Select[Any]:
    return sa.select(
        _nodes.c.id,
        _nodes.c.host,
        _nodes.c.last_report_at,
        _nodes.c.tracker_seen_at,
    ).order_by(_nodes.c.host)


def _doubted() -> sa.Select[Any]:
    return (
        sa.select(
            _devices.c.compute_node_id,
            _devices.c.address,
            _devices.c.status,
            _devices.c.preparation_since,
            _devices.c.preparation_percent,
            _devices.c.failed_starts,
        )
        .where(
            (_devices.c.status == fields.DeviceStatus.CLEANING)
            | (_devices.c.failed_starts > 0)
        )
        .order_by(_devices.c.compute_node_id, _devices.c.address)
    )


def _counts() -> sa.Select[Any]:
    """Count by host, pool key and state."""
    devices = sa.select(
        _devices.c.compute_node_id,
        _devices.c.pool_key_id,
        device_states.state_in_full().label('state'),
    ).subquery()
    columns = list(devices.c)
    return sa.select(*columns, sa.func.count()).group_by(*columns)
